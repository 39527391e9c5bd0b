//! How Kimi's code cuts texts before tiktoken sees them (`tokenization_kimi.py`): every 400,000
//! characters, and where more than 25,000 in a row are white space, or are none.

const MOST: usize = 400_000;
const LONGEST_RUN: usize = 25_000;

/// `str.isspace` of Python, which counts the separators of ASCII as well.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// The parts of a text, one after the other; none of an empty one.
pub fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    let mut left = MOST; // characters until the next cut by number
    std::iter::from_fn(move || {
        let (mut run, mut spaces) = (0, None);
        let first = rest;
        for (at, c) in rest.char_indices() {
            run = match spaces == Some(is_space(c)) {
                true => run + 1,
                false => 1,
            };
            spaces = Some(is_space(c));
            if left == 0 || run > LONGEST_RUN {
                left = if left == 0 { MOST } else { left };
                rest = &rest[at..];
                return Some(&first[..at]);
            }
            left -= 1;
        }
        rest = "";
        (!first.is_empty()).then_some(first)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(text: &str) -> Vec<usize> {
        assert_eq!(parts(text).collect::<String>(), text);
        parts(text).map(|part| part.chars().count()).collect()
    }

    #[test]
    fn long_runs_and_long_texts_are_cut() {
        assert_eq!(lengths(""), [0; 0]);
        assert_eq!(lengths(&"日".repeat(25_000)), [25_000]);
        assert_eq!(lengths(&"é".repeat(50_001)), [25_000, 25_000, 1]);
        let spaces = " \t\x1c".repeat(9_000);
        assert_eq!(lengths(&format!("ab{spaces}c")), [25_002, 2_001]);
        let words = "word ".repeat(160_001);
        assert_eq!(lengths(&words), [400_000, 400_000, 5]);
        let both = format!("{}{}", "a ".repeat(195_000), "b".repeat(40_000));
        assert_eq!(lengths(&both), [400_000, 25_000, 5_000]);
    }
}

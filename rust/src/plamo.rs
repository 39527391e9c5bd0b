//! PLaMo-2's tokenizer: the segmentation of least total cost over a scored vocabulary (Viterbi from
//! the end of the text; Preferred Networks' `tokenization_plamo.py`, llama.cpp's `plamo2`). Costs
//! are -1e4 score, rounded, the longest piece wins ties, a character no piece starts costs 1e7 and
//! is written as its UTF-8 bytes.

use tokenizers::Token;

use crate::interrupt;
use crate::vocabulary::{byte_ids, Algorithm, Vocabulary};

const UNKNOWN_COST: i64 = 10_000_000;
const INVALID_COST: i64 = 20_000_000;

#[derive(Clone)]
pub struct Plamo {
    vocabulary: Vocabulary,
    costs: Vec<Option<i64>>, // by id; None: not a piece (byte tokens, infinite scores)
    byte_ids: Vec<u32>,      // 256
    longest: usize,          // characters
    skips_mark: bool,
}

#[derive(Clone, Copy)]
struct Step {
    cost: i64,
    id: Option<u32>,
    next: usize, // byte offset
}

impl Plamo {
    /// `costs` by id, of whole numbers or nothing; byte tokens have none. All 256 of these must be
    /// there, else the missing one is returned. `skips_mark`: a byte order mark at a text's start is
    /// dropped.
    pub fn new(
        pieces: Vec<String>,
        costs: &[f64],
        skips_mark: bool,
    ) -> std::result::Result<Self, usize> {
        let found = byte_ids(&pieces);
        let byte_ids: Vec<u32> = found.iter().copied().map_while(|id| id).collect();
        if byte_ids.len() < 256 {
            return Err(byte_ids.len());
        }
        let cost = |cost: &f64| {
            let valid = cost.is_finite() && *cost < INVALID_COST as f64;
            valid.then_some(*cost as i64)
        };
        let costs = costs.iter().map(cost).collect();
        let longest = pieces
            .iter()
            .map(|piece| piece.chars().count())
            .max()
            .unwrap_or(0);
        Ok(Self {
            vocabulary: Vocabulary::new(pieces),
            costs,
            byte_ids,
            longest,
            skips_mark,
        })
    }

    fn best_step(&self, text: &str, start: usize, steps: &[Step]) -> Step {
        let ends = text[start..].char_indices().take(self.longest);
        let ends: Vec<usize> = ends.map(|(at, c)| start + at + c.len_utf8()).collect();
        let unknown_end = ends.first().copied().unwrap_or(text.len());
        let mut best = Step {
            cost: i64::MAX,
            id: None,
            next: unknown_end,
        };
        for &next in ends.iter().rev() {
            let id = self.vocabulary.id(&text[start..next]);
            let Some(own) = id.and_then(|id| self.costs[id as usize]) else {
                continue;
            };
            let cost = steps[next].cost.saturating_add(own);
            if cost < best.cost {
                best = Step { cost, id, next };
            }
        }
        let unknown = steps[unknown_end].cost.saturating_add(UNKNOWN_COST);
        if unknown < best.cost {
            best = Step {
                cost: unknown,
                id: None,
                next: unknown_end,
            };
        }
        best
    }
}

impl Algorithm for Plamo {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn segment(&self, text: &str) -> Vec<Token> {
        let marked = text.strip_prefix('\u{feff}').filter(|_| self.skips_mark);
        let body = marked.unwrap_or(text);
        let skipped = text.len() - body.len();
        let mut steps = vec![
            Step {
                cost: 0,
                id: None,
                next: body.len()
            };
            body.len() + 1
        ];
        for (start, _) in body.char_indices().rev() {
            if interrupt::tick(self.longest) {
                return Vec::new();
            }
            steps[start] = self.best_step(body, start, &steps);
        }
        let (mut tokens, mut start) = (Vec::new(), 0);
        while start < body.len() {
            let Step { id, next, .. } = steps[start];
            match id {
                Some(id) => {
                    tokens.push(self.vocabulary.token(id, (skipped + start, skipped + next)))
                }
                None => tokens.extend(body.as_bytes()[start..next].iter().map(|byte| {
                    let id = self.byte_ids[usize::from(*byte)];
                    self.vocabulary.token(id, (skipped + start, skipped + next))
                })),
            }
            start = next;
        }
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plamo(words: &[(&str, f64)]) -> Plamo {
        let bytes = (0..256).map(|b| (format!("<0x{b:02X}>"), f64::NAN));
        let words = words
            .iter()
            .map(|(w, s)| (w.to_string(), (-1e4 * s).round()));
        let (pieces, costs): (Vec<_>, Vec<_>) = bytes.chain(words).unzip();
        Plamo::new(pieces, &costs, true).unwrap()
    }

    fn pieces(model: &Plamo, text: &str) -> Vec<String> {
        model
            .segment(text)
            .into_iter()
            .map(|token| token.value)
            .collect()
    }

    #[test]
    fn the_least_cost_wins_and_the_longest_of_equals() {
        let words = [
            ("a", -1.0),
            ("b", -1.0),
            ("ab", -1.5),
            ("abb", -2.5),
            ("bb", -0.9),
        ];
        let model = plamo(&words);
        assert_eq!(pieces(&model, "abb"), ["a", "bb"]);
        assert_eq!(pieces(&model, "ab"), ["ab"]);
        let equal = plamo(&[("a", -1.0), ("b", -1.0), ("ab", -2.0)]);
        assert_eq!(pieces(&equal, "ab"), ["ab"]);
    }

    #[test]
    fn unknown_characters_become_bytes_and_a_byte_order_mark_goes() {
        let model = plamo(&[("a", -1.0), ("b", f64::NEG_INFINITY), ("c", f64::NAN)]);
        assert_eq!(pieces(&model, "aé"), ["a", "<0xC3>", "<0xA9>"]);
        assert_eq!(pieces(&model, "\u{feff}b"), ["<0x62>"]);
        assert_eq!(pieces(&model, "c"), ["<0x63>"]);
        assert_eq!(pieces(&model, "<0x41>").len(), 6);
    }

    #[test]
    fn a_missing_byte_token_is_named() {
        let pieces = (0..255).map(|b| format!("<0x{b:02X}>")).collect();
        assert_eq!(Plamo::new(pieces, &[0.0; 255], true).err(), Some(255));
    }
}

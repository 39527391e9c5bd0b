//! GPT-2's byte alphabet: every byte has one printable character, so that a vocabulary of byte
//! strings can be written as text (Radford et al. 2019, `bytes_to_unicode`).

use std::sync::OnceLock;

struct Alphabet {
    to_char: [char; 256],
    // Indexed by code point; the alphabet ends below 0x144.
    to_byte: [Option<u8>; 0x144],
}

fn alphabet() -> &'static Alphabet {
    static ALPHABET: OnceLock<Alphabet> = OnceLock::new();
    ALPHABET.get_or_init(|| {
        let mut to_char = ['\0'; 256];
        let mut to_byte = [None; 0x144];
        let mut moved = 0x100u32;
        for byte in 0..=255u8 {
            let printable = matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
            let code = if printable { u32::from(byte) } else { moved };
            moved += u32::from(!printable);
            to_char[usize::from(byte)] = char::from_u32(code).unwrap_or('\u{fffd}');
            to_byte[code as usize] = Some(byte);
        }
        Alphabet { to_char, to_byte }
    })
}

/// The bytes a byte-level token stands for; a token with a character outside the alphabet stands
/// for itself, as in the `ByteLevel` decoder.
pub fn from_byte_level(token: &str) -> Vec<u8> {
    let table = &alphabet().to_byte;
    let mapped = token
        .chars()
        .map(|c| table.get(c as usize).copied().flatten());
    mapped
        .collect::<Option<Vec<u8>>>()
        .unwrap_or_else(|| token.as_bytes().to_vec())
}

pub fn to_byte_level(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|b| alphabet().to_char[usize::from(*b)])
        .collect()
}

/// The byte of a fallback token such as `<0x0A>`.
pub fn fallback_byte(token: &str) -> Option<u8> {
    let hex = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if hex.len() != 2 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u8::from_str_radix(hex, 16).ok()
}

/// Takes from `pending` what is certain as text: whole characters, and U+FFFD for bytes that can
/// start none, exactly as `String::from_utf8_lossy` replaces them. An unfinished tail stays.
pub fn drain_utf8(pending: &mut Vec<u8>, out: &mut String) {
    let mut start = 0;
    loop {
        match std::str::from_utf8(&pending[start..]) {
            Ok(valid) => {
                out.push_str(valid);
                pending.clear();
                return;
            }
            Err(error) => {
                let end = start + error.valid_up_to();
                out.push_str(&String::from_utf8_lossy(&pending[start..end]));
                match error.error_len() {
                    Some(bad) => {
                        out.push('\u{fffd}');
                        start = end + bad;
                    }
                    None => {
                        pending.drain(..end);
                        return;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_a_bijection() {
        let all: Vec<u8> = (0..=255).collect();
        let text = to_byte_level(&all);
        assert_eq!(text.chars().count(), 256);
        assert_eq!(from_byte_level(&text), all);
        assert_eq!(to_byte_level(b" \n"), "ĠĊ");
        assert_eq!(from_byte_level("<a b>"), b"<a b>");
    }

    #[test]
    fn fallback_tokens() {
        assert_eq!(fallback_byte("<0x0A>"), Some(10));
        assert_eq!(fallback_byte("<0xfF>"), Some(255));
        for token in ["<0x0>", "<0x+1>", "<0x0A", "0x0A>", "<0xé>", "<0x0AB>"] {
            assert_eq!(fallback_byte(token), None, "{token}");
        }
    }

    #[test]
    fn draining_byte_by_byte_equals_lossy_decoding() {
        let cases: [&[u8]; 6] = [
            "aé日🙂".as_bytes(),
            b"\xff\xfea",
            b"\xe6\x97a",
            b"\xf0\x9f\x99",
            b"\xed\xa0\x80x",
            b"\xc3\xc3\xa9",
        ];
        for bytes in cases {
            let (mut pending, mut out) = (Vec::new(), String::new());
            for byte in bytes {
                pending.push(*byte);
                drain_utf8(&mut pending, &mut out);
            }
            if !pending.is_empty() {
                out.push('\u{fffd}');
            }
            assert_eq!(out, String::from_utf8_lossy(bytes), "{bytes:?}");
        }
    }
}

//! RWKV's "world" tokenizer: the longest vocabulary entry that matches the bytes ahead, again and
//! again (BlinkDL's `rwkv_vocab_v20230424`). Pieces are kept in GPT-2's byte alphabet, because
//! entries need not be UTF-8; the `ByteLevel` decoder turns them back.

use tokenizers::Token;

use crate::bytes::to_byte_level;
use crate::interrupt;
use crate::vocabulary::{Algorithm, Trie, Vocabulary};

#[derive(Clone)]
pub struct Rwkv {
    vocabulary: Vocabulary,
    trie: Trie,
    unknown: Option<u32>,
}

impl Rwkv {
    /// `entries`: each id's bytes. `matched`: which ids text is cut into; the others are special.
    pub fn new(entries: &[Vec<u8>], matched: impl Fn(usize) -> bool, unknown: Option<u32>) -> Self {
        let pieces = entries.iter().map(|bytes| to_byte_level(bytes)).collect();
        let keys = entries.iter().enumerate().filter(|(id, _)| matched(*id));
        Self {
            vocabulary: Vocabulary::new(pieces),
            trie: Trie::new(keys.map(|(id, bytes)| (bytes.as_slice(), id as u32))),
            unknown,
        }
    }
}

impl Algorithm for Rwkv {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn segment(&self, text: &str) -> Vec<Token> {
        let bytes = text.as_bytes();
        let (mut tokens, mut start) = (Vec::new(), 0);
        while start < bytes.len() && !interrupt::tick(1) {
            let longest = self.trie.longest(&bytes[start..]);
            let (length, id) = longest.map_or((1, self.unknown), |(n, id)| (n, Some(id)));
            let offsets = (start, start + length);
            tokens.extend(id.map(|id| self.vocabulary.token(id, offsets)));
            start += length;
        }
        tokens
    }
}

/// The bytes of an entry as GGUF writes it: the inside of a Python literal.
pub fn unescape(entry: &str) -> Option<Vec<u8>> {
    let (mut out, mut chars) = (Vec::with_capacity(entry.len()), entry.chars());
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        match chars.next()? {
            't' => out.push(b'\t'),
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            'x' => {
                let (high, low) = (chars.next()?.to_digit(16)?, chars.next()?.to_digit(16)?);
                out.push((high * 16 + low) as u8);
            }
            other => out.extend(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_entry_wins_over_bytes() {
        let entries = [
            r"\x00",
            "a",
            "ab",
            "abc",
            r"\xe6",
            r"\x97\xa5",
            r"\n",
            r"\\",
            "b",
        ];
        let entries: Vec<_> = entries.iter().map(|e| unescape(e).unwrap()).collect();
        let model = Rwkv::new(&entries, |id| id != 0, Some(0));
        let ids = |text| model.segment(text).iter().map(|t| t.id).collect::<Vec<_>>();
        assert_eq!(ids("abcabab"), [3, 2, 2]);
        assert_eq!(ids("日\n\\b"), [4, 5, 6, 7, 8]);
        assert_eq!(ids("z"), [0]);
        assert_eq!(ids("\0a"), [0, 1]);
    }

    #[test]
    fn broken_escapes_are_refused() {
        for entry in [r"\", r"\x", r"\x1", r"\xg0"] {
            assert_eq!(unescape(entry), None, "{entry}");
        }
        assert_eq!(unescape(r"\'\t\r").unwrap(), b"'\t\r");
    }
}

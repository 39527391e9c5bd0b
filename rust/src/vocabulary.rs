//! What every tokenization algorithm of our own shares: numbered pieces, and how they are found.

use ahash::AHashMap;
use tokenizers::Token;

use crate::bytes::fallback_byte;
use crate::error::{Error, Result};

/// Longest piece, in bytes, of an algorithm that tries every piece at every position: what such a
/// search costs is the product of the two lengths. Published vocabularies stay below 1,000.
const LONGEST_PIECE: usize = 4096;

/// Pieces by id, and back. Of a piece with several ids the first is the one text is encoded to.
#[derive(Clone)]
pub struct Vocabulary {
    pieces: Vec<String>,
    ids: AHashMap<String, u32>,
}

impl Vocabulary {
    pub fn new(pieces: Vec<String>) -> Self {
        let mut ids = AHashMap::with_capacity(pieces.len());
        for (id, piece) in pieces.iter().enumerate() {
            ids.entry(piece.clone()).or_insert(id as u32);
        }
        Self { pieces, ids }
    }
    pub fn id(&self, piece: &str) -> Option<u32> {
        self.ids.get(piece).copied()
    }
    pub fn piece(&self, id: u32) -> Option<&str> {
        self.pieces.get(id as usize).map(String::as_str)
    }
    pub fn pieces(&self) -> &[String] {
        &self.pieces
    }
    pub fn ids(&self) -> &AHashMap<String, u32> {
        &self.ids
    }
    pub fn len(&self) -> usize {
        self.pieces.len()
    }
    pub fn token(&self, id: u32, offsets: (usize, usize)) -> Token {
        Token::new(id, self.piece(id).unwrap_or_default().to_string(), offsets)
    }
}

/// A tokenization algorithm over a fixed vocabulary. `segment` gets one stretch of normalised text.
pub trait Algorithm {
    fn vocabulary(&self) -> &Vocabulary;
    fn segment(&self, text: &str) -> Vec<Token>;
}

/// The ids of `<0x00>` .. `<0xFF>` where the vocabulary has them.
pub fn byte_ids(pieces: &[String]) -> Vec<Option<u32>> {
    let mut ids = vec![None; 256];
    for (id, piece) in pieces.iter().enumerate() {
        if let Some(byte) = fallback_byte(piece) {
            ids[usize::from(byte)] = Some(id as u32);
        }
    }
    ids
}

/// Refuses pieces that would make a search over them quadratic.
pub fn check_lengths(what: &str, pieces: &[String]) -> Result<()> {
    match pieces.iter().position(|piece| piece.len() > LONGEST_PIECE) {
        None => Ok(()),
        Some(id) => Err(Error::unsupported(format!(
            "{what}: token {id} has {} bytes, expected at most {LONGEST_PIECE}",
            pieces[id].len()
        ))),
    }
}

/// A trie over bytes, for all pieces that start at a position of a text.
#[derive(Clone, Default)]
pub struct Trie {
    children: AHashMap<u64, u32>, // node << 8 | byte
    ids: Vec<Option<u32>>,        // by node; 0 is the root
}

impl Trie {
    /// Of equal keys the first stays.
    pub fn new<'a>(entries: impl Iterator<Item = (&'a [u8], u32)>) -> Self {
        let mut trie = Self {
            children: AHashMap::new(),
            ids: vec![None],
        };
        for (key, id) in entries {
            let mut node = 0u32;
            for byte in key {
                let fresh = trie.ids.len() as u32;
                node = *trie
                    .children
                    .entry(u64::from(node) << 8 | u64::from(*byte))
                    .or_insert(fresh);
                if node == fresh {
                    trie.ids.push(None);
                }
            }
            trie.ids[node as usize].get_or_insert(id);
        }
        trie
    }

    /// The keys that `text` starts with, as (length, id), the shortest first. Not the empty key.
    pub fn prefixes<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = (usize, u32)> + 'a {
        let mut node = 0u32;
        let walk = text.iter().map_while(move |byte| {
            let key = u64::from(node) << 8 | u64::from(*byte);
            node = *self.children.get(&key)?;
            Some(node)
        });
        walk.enumerate()
            .filter_map(|(at, node)| self.ids[node as usize].map(|id| (at + 1, id)))
    }

    pub fn longest(&self, text: &[u8]) -> Option<(usize, u32)> {
        self.prefixes(text).last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_pieces_is_encoded_to_and_both_are_decoded() {
        let pieces = ["a", "b", "a"].map(str::to_string).to_vec();
        let vocabulary = Vocabulary::new(pieces);
        assert_eq!(vocabulary.id("a"), Some(0));
        assert_eq!(vocabulary.piece(2), Some("a"));
        assert_eq!((vocabulary.len(), vocabulary.id("c")), (3, None));
    }

    #[test]
    fn a_trie_finds_every_prefix() {
        let keys: [&[u8]; 5] = [b"ab", b"a", b"abcd", b"b", b"ab"];
        let trie = Trie::new(keys.iter().enumerate().map(|(id, key)| (*key, id as u32)));
        let found: Vec<_> = trie.prefixes(b"abce").collect();
        assert_eq!(found, [(1, 1), (2, 0)]);
        assert_eq!(trie.longest(b"abcdx"), Some((4, 2)));
        assert_eq!(trie.longest(b"x"), None);
        assert_eq!(trie.longest(b""), None);
    }

    #[test]
    fn absurd_pieces_are_refused() {
        let pieces = vec!["a".to_string(), "b".repeat(LONGEST_PIECE + 1)];
        assert!(check_lengths("x", &pieces[..1]).is_ok());
        let error = check_lengths("x", &pieces).unwrap_err();
        assert!(
            error.message.contains("token 1 has 4097 bytes"),
            "{}",
            error.message
        );
    }
}

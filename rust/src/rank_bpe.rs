//! tiktoken's byte pair encoding: of all neighbouring byte strings whose concatenation has a rank,
//! the lowest rank merges first. A stretch that is itself a token is not cut. Pieces are kept in
//! GPT-2's byte alphabet; the `ByteLevel` decoder turns them back.

use ahash::AHashMap;
use tokenizers::Token;

use crate::bytes::to_byte_level;
use crate::error::{Error, Result};
use crate::merge::{merge, Stretch};
use crate::vocabulary::{Algorithm, Vocabulary};

#[derive(Clone)]
pub struct RankBpe {
    vocabulary: Vocabulary,
    ranks: AHashMap<Vec<u8>, u32>,
    first_id: u32, // of rank 0
}

impl RankBpe {
    /// `ranked`: byte strings and their ranks, every single byte among them; `pieces`: those of all
    /// ids, of which rank 0 has `first_id`.
    pub fn new(
        what: &str,
        ranked: Vec<(Vec<u8>, u32)>,
        first_id: u32,
        pieces: Vec<String>,
    ) -> Result<Self> {
        let count = ranked.len();
        let ranks: AHashMap<Vec<u8>, u32> = ranked.into_iter().collect();
        if ranks.len() < count {
            return Err(Error::corrupt(format!(
                "{what}: {} of {count} ranks repeat a token",
                count - ranks.len()
            )));
        }
        // Ranks are compared as f32, which counts no further.
        let highest = ranks.values().max().copied().unwrap_or(0);
        if highest >= 1 << 24 || (highest as usize) >= pieces.len() {
            return Err(Error::corrupt(format!(
                "{what}: the rank {highest} is out of range"
            )));
        }
        if let Some(byte) = (0..=255u8).find(|byte| !ranks.contains_key(&[*byte][..])) {
            let message = format!("{what}: the byte 0x{byte:02x} has no rank");
            return Err(Error::corrupt(message));
        }
        Ok(Self {
            vocabulary: Vocabulary::new(pieces),
            ranks,
            first_id,
        })
    }

    /// The pieces of `ranked` by rank; ranks that none has are reserved.
    pub fn pieces(ranked: &[(Vec<u8>, u32)]) -> Vec<String> {
        let count = ranked.iter().map(|(_, rank)| rank + 1).max().unwrap_or(0);
        let mut pieces: Vec<String> = vec![String::new(); count as usize];
        for (bytes, rank) in ranked {
            pieces[*rank as usize] = to_byte_level(bytes);
        }
        for (id, piece) in pieces.iter_mut().enumerate().filter(|(_, p)| p.is_empty()) {
            *piece = format!("<|reserved_token_{id}|>");
        }
        pieces
    }

    fn push(&self, bytes: &[u8], tokens: &mut Vec<Token>) {
        let rank = self.ranks.get(bytes);
        tokens.extend(rank.map(|rank| self.vocabulary.token(self.first_id + rank, (0, 0))));
    }
}

impl Algorithm for RankBpe {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    // Offsets would be into bytes, not characters: all are (0, 0).
    fn segment(&self, text: &str) -> Vec<Token> {
        let (bytes, mut tokens) = (text.as_bytes(), Vec::new());
        if self.ranks.contains_key(bytes) {
            self.push(bytes, &mut tokens);
            return tokens;
        }
        let byte = |start: u32| Stretch {
            start,
            end: start + 1,
            frozen: false,
        };
        let stretches: Vec<Stretch> = (0..bytes.len() as u32).map(byte).collect();
        let score = |start: usize, _, end: usize| {
            let rank = self.ranks.get(&bytes[start..end])?;
            Some(-(*rank as f32))
        };
        for (start, end) in merge(&stretches, score) {
            self.push(&bytes[start..end], &mut tokens);
        }
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(words: &[&[u8]]) -> Result<RankBpe> {
        let bytes = (0..=255u8).map(|byte| vec![byte]);
        let entries = bytes.chain(words.iter().map(|w| w.to_vec()));
        let ranked: Vec<_> = entries.zip(0..).collect();
        let mut pieces = vec!["<s>".to_string()];
        pieces.extend(RankBpe::pieces(&ranked));
        pieces.push("<end>".into());
        RankBpe::new("x", ranked, 1, pieces)
    }

    fn ids(model: &RankBpe, text: &str) -> Vec<u32> {
        let tokens = model.segment(text).into_iter();
        tokens.map(|token| token.id).collect()
    }

    #[test]
    fn the_lowest_rank_merges_first_and_whole_words_stay() {
        let model = model(&[b"bc", b"ab", b"abcd", b"\xe6\x97"]).unwrap();
        assert_eq!(ids(&model, "abc"), [98, 257]);
        assert_eq!(ids(&model, "abcd"), [259]);
        assert_eq!(ids(&model, "日"), [260, 0xa5 + 1]);
        assert_eq!(ids(&model, "<s>").len(), 3);
        assert_eq!(model.vocabulary().id("<end>"), Some(261));
    }

    #[test]
    fn repeated_tokens_missing_bytes_and_wild_ranks_are_refused() {
        let message = |refused: Result<RankBpe>| refused.err().unwrap().message;
        assert!(message(model(&[b"ab", b"ab"])).contains("1 of 258 ranks"));
        let missing = RankBpe::new("x", vec![(vec![1], 0)], 0, vec!["a".into()]);
        assert!(message(missing).contains("0x00 has no rank"));
        let wild = RankBpe::new("x", vec![(vec![0], 7)], 0, vec!["a".into()]);
        assert!(message(wild).contains("rank 7 is out of range"));
        let holes = [(vec![b'a'], 0), (vec![b'b'], 2)];
        assert_eq!(RankBpe::pieces(&holes), ["a", "<|reserved_token_1|>", "b"]);
    }

    #[test]
    fn a_long_word_takes_no_quadratic_time() {
        let model = model(&[b"aa", b"aaaa"]).unwrap();
        assert_eq!(ids(&model, &"a".repeat(400_000)).len(), 100_000);
    }
}

//! SentencePiece's BPE over a scored vocabulary (Kudo & Richardson 2018; `bpe_model.cc` of
//! sentencepiece): of all adjacent pairs whose concatenation is a piece, the one with the highest
//! score merges first, the leftmost among equals. Text no piece covers becomes `<0xXX>` tokens.
//!
//! A list of merges ranked by score is not the same: two ways to make one piece would get two
//! ranks, where here their position decides.

use tokenizers::Token;

use crate::merge::{characters, merge};
use crate::vocabulary::{byte_ids, Algorithm, Vocabulary};

#[derive(Clone)]
pub struct Spm {
    vocabulary: Vocabulary,
    scores: Vec<f32>,
    byte_ids: Vec<Option<u32>>, // 256
    unknown: Option<u32>,
}

impl Spm {
    /// `scores` has one number for each piece; NaN marks those that no text is merged into.
    pub fn new(pieces: Vec<String>, scores: Vec<f32>, unknown: Option<u32>) -> Self {
        let byte_ids = byte_ids(&pieces);
        Self {
            vocabulary: Vocabulary::new(pieces),
            scores,
            byte_ids,
            unknown,
        }
    }

    fn push_unmatched(&self, text: &str, start: usize, tokens: &mut Vec<Token>) {
        for (i, byte) in text.bytes().enumerate() {
            match self.byte_ids[usize::from(byte)] {
                Some(id) => tokens.push(self.vocabulary.token(id, (start + i, start + i + 1))),
                None => {
                    let whole = (start, start + text.len());
                    tokens.extend(self.unknown.map(|id| self.vocabulary.token(id, whole)));
                    return;
                }
            }
        }
    }
}

impl Algorithm for Spm {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn segment(&self, text: &str) -> Vec<Token> {
        let score = |start: usize, _, end: usize| {
            let id = self.vocabulary.id(&text[start..end])?;
            Some(self.scores[id as usize]).filter(|score| !score.is_nan())
        };
        let mut tokens = Vec::new();
        for (start, end) in merge(&characters(text), score) {
            match self.vocabulary.id(&text[start..end]) {
                Some(id) => tokens.push(self.vocabulary.token(id, (start, end))),
                None => self.push_unmatched(&text[start..end], start, &mut tokens),
            }
        }
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spm(vocabulary: &[(&str, f32)]) -> Spm {
        let (pieces, scores) = vocabulary.iter().map(|(p, s)| (p.to_string(), *s)).unzip();
        Spm::new(pieces, scores, Some(0))
    }

    fn pieces(model: &Spm, text: &str) -> Vec<String> {
        model
            .segment(text)
            .into_iter()
            .map(|token| token.value)
            .collect()
    }

    #[test]
    fn the_highest_score_merges_first_and_the_leftmost_of_equals() {
        let model = spm(&[
            ("<unk>", 0.),
            ("a", -9.),
            ("b", -9.),
            ("ab", -1.),
            ("ba", -2.),
        ]);
        assert_eq!(pieces(&model, "aba"), ["ab", "a"]);
        assert_eq!(pieces(&model, "bab"), ["b", "ab"]);
        let ties = spm(&[
            ("<unk>", 0.),
            ("a", -9.),
            ("b", -9.),
            ("ab", -2.),
            ("ba", -2.),
        ]);
        assert_eq!(pieces(&ties, "aba"), ["ab", "a"]);
        assert_eq!(pieces(&ties, "bab"), ["ba", "b"]);
    }

    #[test]
    fn one_piece_made_in_two_ways_is_decided_by_position() {
        // "abc" can be a+bc or ab+c; the pair that exists first wins, not a rank.
        let v = [
            ("<unk>", 0.),
            ("a", -9.),
            ("b", -9.),
            ("c", -9.),
            ("bc", -1.),
            ("abc", -3.),
        ];
        assert_eq!(pieces(&spm(&v), "abcabc"), ["abc", "abc"]);
    }

    #[test]
    fn uncovered_text_becomes_bytes_or_unknown() {
        let with_bytes = spm(&[("<unk>", 0.), ("<0xC3>", 0.), ("<0xA9>", 0.), ("a", -1.)]);
        assert_eq!(pieces(&with_bytes, "aé"), ["a", "<0xC3>", "<0xA9>"]);
        assert_eq!(pieces(&with_bytes, "日"), ["<unk>"]);
        assert_eq!(pieces(&with_bytes, ""), [""; 0]);
    }

    #[test]
    fn a_special_piece_is_not_spelled_by_text() {
        let model = spm(&[("<unk>", 0.), ("a", -1.), ("b", -1.), ("ab", f32::NAN)]);
        assert_eq!(pieces(&model, "ab"), ["a", "b"]);
    }

    #[test]
    fn long_text_takes_no_quadratic_time() {
        let model = spm(&[("<unk>", 0.), ("a", -9.), ("aa", -1.), ("aaaa", -2.)]);
        assert_eq!(model.segment(&"a".repeat(200_000)).len(), 50_000);
    }
}

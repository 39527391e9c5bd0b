//! The unigram language model of SentencePiece (Kudo 2018; `EncodeOptimized` of `unigram_model.cc`):
//! the segmentation with the highest sum of scores. A character no piece covers costs ten more than
//! the worst piece.

use crate::interrupt;
use crate::vocabulary::Trie;

const UNKNOWN_PENALTY: f64 = 10.0;

#[derive(Clone)]
pub struct Unigram {
    trie: Trie,
    scores: Vec<f64>, // by id
    unknown_score: f64,
    precision: Precision,
}

/// In what sums are kept, which decides between segmentations of nearly the same score.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Precision {
    Single, // sentencepiece
    Double, // llama.cpp
}

#[derive(Clone, Copy)]
struct Best {
    score: f64,
    start: usize,
    id: Option<u32>, // None: unknown
}

impl Unigram {
    /// `pieces` that text may be cut into, as (text, id); `scores` by id, of which `lowest` is that
    /// of the worst normal piece.
    pub fn new<'a>(
        pieces: impl Iterator<Item = (&'a [u8], u32)>,
        scores: Vec<f64>,
        lowest: f64,
        precision: Precision,
    ) -> Self {
        Self {
            trie: Trie::new(pieces),
            scores,
            unknown_score: lowest - UNKNOWN_PENALTY,
            precision,
        }
    }

    /// Ends and ids of the pieces of `text`; None is a character that is none.
    pub fn segment(&self, text: &str) -> Vec<(usize, Option<u32>)> {
        let bytes = text.as_bytes();
        let never = Best {
            score: f64::NEG_INFINITY,
            start: usize::MAX,
            id: None,
        };
        let mut ends = vec![never; bytes.len() + 1];
        ends[0].score = 0.0;
        for (start, c) in text.char_indices() {
            if interrupt::tick(1) {
                return Vec::new();
            }
            let here = ends[start].score;
            let mut offer = |length: usize, score: f64, id: Option<u32>| {
                let end = &mut ends[start + length];
                let score = match self.precision {
                    Precision::Single => f64::from((here + score) as f32),
                    Precision::Double => here + score,
                };
                if end.start == usize::MAX || score > end.score {
                    *end = Best { score, start, id };
                }
            };
            let mut covered = false;
            for (length, id) in self.trie.prefixes(&bytes[start..]) {
                covered |= length == c.len_utf8();
                offer(length, self.scores[id as usize], Some(id));
            }
            if !covered {
                offer(c.len_utf8(), self.unknown_score, None);
            }
        }
        let (mut pieces, mut end) = (Vec::new(), bytes.len());
        while end > 0 {
            let best = ends[end];
            pieces.push((end, best.id));
            end = best.start;
        }
        pieces.reverse();
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unigram(pieces: &[(&str, f64)]) -> Unigram {
        let keys = pieces.iter().enumerate();
        let scores: Vec<f64> = pieces.iter().map(|(_, score)| *score).collect();
        let lowest = scores.iter().copied().fold(f64::INFINITY, f64::min);
        Unigram::new(
            keys.map(|(id, (piece, _))| (piece.as_bytes(), id as u32)),
            scores,
            lowest,
            Precision::Double,
        )
    }

    #[test]
    fn the_highest_sum_wins() {
        let model = unigram(&[("a", -2.0), ("b", -2.0), ("ab", -3.0), ("ba", -1.0)]);
        assert_eq!(model.segment("aba"), [(1, Some(0)), (3, Some(3))]);
        assert_eq!(model.segment("ab"), [(2, Some(2))]);
        assert_eq!(
            model.segment("aéb"),
            [(1, Some(0)), (3, None), (4, Some(1))]
        );
        assert_eq!(model.segment(""), []);
    }

    #[test]
    fn scores_that_are_not_finite_leave_a_segmentation() {
        let model = unigram(&[("a", f64::NAN), ("b", f64::NEG_INFINITY), ("ab", f64::NAN)]);
        let ends: Vec<usize> = model.segment("abab").iter().map(|(end, _)| *end).collect();
        assert_eq!(ends.last(), Some(&4));
    }
}

//! SentencePiece's BPE over a scored vocabulary (Kudo & Richardson 2018; `bpe_model.cc` of
//! sentencepiece): of all adjacent pairs whose concatenation is a piece, the one with the highest
//! score merges first, the leftmost among equals. Text no piece covers becomes `<0xXX>` tokens.
//!
//! A list of merges ranked by score is not the same: two ways to make one piece would get two
//! ranks, where here their position decides.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use tokenizers::Token;

use crate::bytes::fallback_byte;
use crate::model::{Algorithm, Vocabulary};

#[derive(Clone)]
pub struct Spm {
    vocabulary: Vocabulary,
    scores: Vec<f32>,
    byte_ids: Vec<Option<u32>>, // 256
    unknown: Option<u32>,
}

/// A stretch of text, linked to its living neighbours; `end == start` once merged away.
#[derive(Clone, Copy)]
struct Symbol {
    start: usize,
    end: usize,
    previous: Option<usize>,
    next: Option<usize>,
}

#[derive(PartialEq)]
struct Bigram {
    score: f32,
    left: usize,
    right: usize,
    bytes: usize,
}

impl Eq for Bigram {}
impl PartialOrd for Bigram {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Bigram {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score
            .total_cmp(&other.score)
            .then(other.left.cmp(&self.left))
    }
}

impl Spm {
    /// `scores` has one finite number a piece.
    pub fn new(pieces: Vec<String>, scores: Vec<f32>, unknown: Option<u32>) -> Self {
        let byte_ids = byte_ids(&pieces);
        // 0 and -0 compare equal, total_cmp alone would order them.
        let scores = scores.into_iter().map(|score| score + 0.0).collect();
        Self {
            vocabulary: Vocabulary::new(pieces),
            scores,
            byte_ids,
            unknown,
        }
    }

    fn bigram(&self, text: &str, symbols: &[Symbol], left: usize, right: usize) -> Option<Bigram> {
        let (start, end) = (symbols[left].start, symbols[right].end);
        let id = self.vocabulary.id(&text[start..end])?;
        Some(Bigram {
            score: self.scores[id as usize],
            left,
            right,
            bytes: end - start,
        })
    }

    fn merge(&self, text: &str, symbols: &mut [Symbol]) {
        let pairs = (1..symbols.len()).filter_map(|i| self.bigram(text, symbols, i - 1, i));
        let mut queue: BinaryHeap<Bigram> = pairs.collect();
        while let Some(best) = queue.pop() {
            let (left, right) = (symbols[best.left], symbols[best.right]);
            let stale = left.start == left.end || right.start == right.end;
            if stale || right.end - left.start != best.bytes {
                continue;
            }
            symbols[best.left].end = right.end;
            symbols[best.left].next = right.next;
            symbols[best.right].end = right.start;
            if let Some(next) = right.next {
                symbols[next].previous = Some(best.left);
                queue.extend(self.bigram(text, symbols, best.left, next));
            }
            if let Some(previous) = left.previous {
                queue.extend(self.bigram(text, symbols, previous, best.left));
            }
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
        let mut symbols: Vec<Symbol> = Vec::with_capacity(text.len());
        for (start, c) in text.char_indices() {
            let (i, end) = (symbols.len(), start + c.len_utf8());
            let next = (end < text.len()).then_some(i + 1);
            symbols.push(Symbol {
                start,
                end,
                previous: i.checked_sub(1),
                next,
            });
        }
        self.merge(text, &mut symbols);
        let mut tokens = Vec::new();
        let mut at = (!symbols.is_empty()).then_some(0);
        while let Some(i) = at {
            let Symbol {
                start, end, next, ..
            } = symbols[i];
            match self.vocabulary.id(&text[start..end]) {
                Some(id) => tokens.push(self.vocabulary.token(id, (start, end))),
                None => self.push_unmatched(&text[start..end], start, &mut tokens),
            }
            at = next;
        }
        tokens
    }
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
    fn long_text_takes_no_quadratic_time() {
        let model = spm(&[("<unk>", 0.), ("a", -9.), ("aa", -1.), ("aaaa", -2.)]);
        assert_eq!(model.segment(&"a".repeat(200_000)).len(), 50_000);
    }
}

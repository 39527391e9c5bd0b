//! Merging neighbours in order of score, the kernel of SentencePiece's BPE and of tiktoken: of all
//! adjacent pairs that `score` knows, the highest merges first, the leftmost among equals.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::interrupt;

const NONE: u32 = u32::MAX;

/// A stretch of the text in bytes. A frozen one merges with nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stretch {
    pub start: u32,
    pub end: u32,
    pub frozen: bool,
}

/// `end == start` once merged away.
#[derive(Clone, Copy)]
struct Symbol {
    start: u32,
    end: u32,
    previous: u32,
    next: u32,
}

#[derive(PartialEq)]
struct Bigram {
    score: f32,
    left: u32,
    right: u32,
    bytes: u32,
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

struct Merger<F> {
    symbols: Vec<Symbol>,
    frozen: Vec<bool>,
    score: F,
}

impl<F: FnMut(usize, usize, usize) -> Option<f32>> Merger<F> {
    fn bigram(&mut self, left: u32, right: u32) -> Option<Bigram> {
        if left == NONE || right == NONE {
            return None;
        }
        if self.frozen[left as usize] || self.frozen[right as usize] {
            return None;
        }
        let (start, middle, end) = (
            self.symbols[left as usize].start,
            self.symbols[right as usize].start,
            self.symbols[right as usize].end,
        );
        // 0 and -0 compare equal, total_cmp alone would order them.
        let score = (self.score)(start as usize, middle as usize, end as usize)? + 0.0;
        let bytes = end - start;
        Some(Bigram {
            score,
            left,
            right,
            bytes,
        })
    }

    fn run(&mut self) {
        let count = self.symbols.len() as u32;
        let pairs = (1..count).filter_map(|i| self.bigram(i - 1, i));
        let mut queue: BinaryHeap<Bigram> = pairs.collect();
        while let Some(best) = queue.pop() {
            if interrupt::tick(1) {
                return;
            }
            let (left, right) = (
                self.symbols[best.left as usize],
                self.symbols[best.right as usize],
            );
            let stale = left.start == left.end || right.start == right.end;
            if stale || right.end - left.start != best.bytes {
                continue;
            }
            let merged = &mut self.symbols[best.left as usize];
            merged.end = right.end;
            merged.next = right.next;
            self.symbols[best.right as usize].end = right.start;
            if right.next != NONE {
                self.symbols[right.next as usize].previous = best.left;
            }
            queue.extend(self.bigram(left.previous, best.left));
            queue.extend(self.bigram(best.left, right.next));
        }
    }
}

/// `stretches` follow each other; `score` says what a merge of start..middle and middle..end is
/// worth, if anything. It is asked for pairs in the order in which they come to be.
pub fn merge(
    stretches: &[Stretch],
    score: impl FnMut(usize, usize, usize) -> Option<f32>,
) -> Vec<(usize, usize)> {
    let last = stretches.len().wrapping_sub(1);
    let symbol = |(i, stretch): (usize, &Stretch)| Symbol {
        start: stretch.start,
        end: stretch.end,
        previous: (i as u32).wrapping_sub(1),
        next: if i == last { NONE } else { i as u32 + 1 },
    };
    let mut merger = Merger {
        symbols: stretches.iter().enumerate().map(symbol).collect(),
        frozen: stretches.iter().map(|stretch| stretch.frozen).collect(),
        score,
    };
    merger.run();
    let living = merger.symbols.iter().filter(|s| s.start < s.end);
    living.map(|s| (s.start as usize, s.end as usize)).collect()
}

/// One stretch for each character.
pub fn characters(text: &str) -> Vec<Stretch> {
    let stretch = |(start, c): (usize, char)| Stretch {
        start: start as u32,
        end: (start + c.len_utf8()) as u32,
        frozen: false,
    };
    text.char_indices().map(stretch).collect()
}

//! SentencePiece over one stretch of text: normalisation, user-defined pieces that nothing cuts or
//! joins, then BPE by score, unigram, words or characters (`sentencepiece_processor.cc`).

use ahash::{AHashMap, AHashSet};
use tokenizers::Token;

use crate::merge::{characters, merge, Stretch};
use crate::vocabulary::{byte_ids, Algorithm, Vocabulary};

mod normalizer;
pub mod proto;
mod unigram;

pub use normalizer::{Normalizer, SPACE};
pub use unigram::{Precision, Unigram};

/// Stands before the first stretch of a text, and for the spaces in it, where only that stretch
/// gets a space in front: a code point that is never a character.
pub const FIRST: char = '\u{10ffff}';

/// Which stretches get a space in front.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prefix {
    Never,
    Each,
    /// The one that a `Metaspace` stage has marked with `FIRST`.
    First,
}

#[derive(Clone)]
pub enum Kind {
    Bpe(Bpe),
    Unigram(Unigram),
    Word,
    Char,
}

#[derive(Clone)]
pub struct Bpe {
    pub scores: Vec<f32>, // by id; NaN: not a piece that text is merged into
    /// Ids that take part in merging and are no tokens: what becomes one is cut again.
    pub unused: AHashSet<u32>,
}

#[derive(Clone)]
pub struct SentencePiece {
    vocabulary: Vocabulary,
    normalizer: Normalizer,
    prefix: Prefix,
    kind: Kind,
    byte_ids: Vec<Option<u32>>, // 256; empty without fallback
    unknown: Option<u32>,
}

impl SentencePiece {
    pub fn new(
        pieces: Vec<String>,
        normalizer: Normalizer,
        prefix: Prefix,
        kind: Kind,
        unknown: Option<u32>,
    ) -> Self {
        Self {
            vocabulary: Vocabulary::new(pieces),
            normalizer,
            prefix,
            kind,
            byte_ids: Vec::new(),
            unknown,
        }
    }

    pub fn with_byte_fallback(mut self) -> Self {
        self.byte_ids = byte_ids(self.vocabulary.pieces());
        self
    }

    fn normalize(&self, text: &str) -> String {
        if self.prefix != Prefix::First {
            return self.normalizer.normalize(text, self.prefix == Prefix::Each);
        }
        let first = text.starts_with(FIRST);
        let text = text.replace(FIRST, " ");
        // The mark was one of the text's own spaces, or the one to put in front: it stays.
        let strips = self.normalizer.remove_extra_spaces;
        self.normalizer.normalize(&text, first && strips)
    }

    /// (end, id) of each piece.
    fn pieces(&self, text: &str) -> Vec<(usize, Option<u32>)> {
        let found = |(start, end): (usize, usize)| (end, self.vocabulary.id(&text[start..end]));
        match &self.kind {
            Kind::Unigram(unigram) => unigram.segment(text),
            Kind::Char => {
                let stretches = self.stretches(text).into_iter();
                stretches
                    .map(|s| found((s.start as usize, s.end as usize)))
                    .collect()
            }
            Kind::Word => words(text).into_iter().map(found).collect(),
            Kind::Bpe(bpe) => self.merged(bpe, text).into_iter().map(found).collect(),
        }
    }

    fn merged(&self, bpe: &Bpe, text: &str) -> Vec<(usize, usize)> {
        // Where the pair that last made an unused piece met, from its start.
        let mut halves: AHashMap<&str, usize> = AHashMap::new();
        let score = |start: usize, middle: usize, end: usize| {
            let id = self.vocabulary.id(&text[start..end])?;
            let score = Some(bpe.scores[id as usize]).filter(|score| !score.is_nan())?;
            if bpe.unused.contains(&id) {
                halves.insert(&text[start..end], middle - start);
            }
            Some(score)
        };
        let merged = merge(&self.stretches(text), score);
        if halves.is_empty() {
            return merged;
        }
        let (mut out, mut open) = (Vec::new(), Vec::new());
        for piece in merged {
            open.push(piece);
            while let Some((start, end)) = open.pop() {
                match halves.get(&text[start..end]) {
                    Some(left) => open.extend([(start + left, end), (start, start + left)]),
                    None => out.push((start, end)),
                }
            }
        }
        out
    }

    /// Characters, and user-defined pieces whole.
    fn stretches(&self, text: &str) -> Vec<Stretch> {
        let user_defined = self.normalizer.user_defined();
        let (mut out, mut skip) = (characters(text), 0);
        out.retain_mut(|stretch| {
            if stretch.start < skip {
                return false;
            }
            if let Some((length, _)) =
                user_defined.longest(&text.as_bytes()[stretch.start as usize..])
            {
                stretch.end = stretch.start + length as u32;
                stretch.frozen = true;
                skip = stretch.end;
            }
            true
        });
        out
    }

    fn push_unknown(&self, text: &str, after_unknown: bool, tokens: &mut Vec<Token>) -> bool {
        let bytes: Option<Vec<u32>> = match self.byte_ids.is_empty() {
            true => None,
            false => text
                .bytes()
                .map(|b| self.byte_ids[usize::from(b)])
                .collect(),
        };
        if let Some(ids) = bytes {
            tokens.extend(ids.into_iter().map(|id| self.vocabulary.token(id, (0, 0))));
            return false;
        }
        if !after_unknown {
            tokens.extend(self.unknown.map(|id| self.vocabulary.token(id, (0, 0))));
        }
        true
    }
}

/// Cut before every space; `text` has a space in front of its words, escaped.
fn words(text: &str) -> Vec<(usize, usize)> {
    let mut starts: Vec<usize> = text.match_indices(SPACE).map(|(at, _)| at).collect();
    if starts.first() != Some(&0) && !text.is_empty() {
        starts.insert(0, 0);
    }
    let ends = starts.iter().copied().skip(1).chain([text.len()]);
    starts.iter().copied().zip(ends).collect()
}

impl Algorithm for SentencePiece {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    // Offsets are into the normalised text, which no caller sees: all are (0, 0).
    fn segment(&self, text: &str) -> Vec<Token> {
        let text = self.normalize(text);
        let (mut tokens, mut start, mut unknown) = (Vec::new(), 0, false);
        for (end, id) in self.pieces(&text) {
            match id.filter(|id| Some(*id) != self.unknown) {
                Some(id) => {
                    tokens.push(self.vocabulary.token(id, (0, 0)));
                    unknown = false;
                }
                None => unknown = self.push_unknown(&text[start..end], unknown, &mut tokens),
            }
            start = end;
        }
        tokens
    }
}

#[cfg(test)]
mod tests;

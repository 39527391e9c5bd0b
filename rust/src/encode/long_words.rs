//! Byte pair encoding of a long word in pieces, exactly.
//!
//! Merges are applied in an order that depends on the pairs alone: by rank, then from the left.
//! Merges inside one token therefore happen in the same order whatever is around it. It follows
//! that any run of tokens of a text is the encoding of its own text, and that two encodings may be
//! joined if the last token of one and the first of the other, encoded together, give these two:
//! the first merge across the joint would happen there as well.

use tokenizers::models::bpe::BPE;
use tokenizers::{Model, Token};

use crate::interrupt;

/// Words up to this are encoded at once, longer ones by so many bytes at a time.
const WINDOW: usize = 1 << 15;
/// Tokens at a window's end that its edge is likely to have changed.
const DROPPED: usize = 24;

#[derive(Clone)]
pub struct LongWords {
    longest: usize, // token, in bytes
}

impl LongWords {
    /// None: the model does more than merge by rank, or drops what it does not know.
    pub fn of(model: &BPE) -> Option<Self> {
        let is_empty = |text: &Option<String>| text.as_deref().is_none_or(str::is_empty);
        let byte = |byte: u8| model.token_to_id(&format!("<{byte:#04X}>")).is_some();
        let merges_only = model.dropout.is_none_or(|dropout| dropout == 0.0)
            && is_empty(&model.continuing_subword_prefix)
            && is_empty(&model.end_of_word_suffix)
            && (!model.byte_fallback || (0..=255).all(byte));
        let longest = model.get_vocab().keys().map(String::len).max();
        merges_only.then_some(Self {
            longest: longest.unwrap_or(0),
        })
    }

    pub fn tokenize(&self, model: &BPE, word: &str) -> tokenizers::Result<Vec<Token>> {
        self.windowed(model, word, WINDOW, DROPPED)
    }

    /// `window`: bytes encoded at a time, more where they do not suffice; `dropped`: tokens at its end
    /// that are encoded again.
    pub fn windowed(
        &self,
        model: &BPE,
        word: &str,
        window: usize,
        dropped: usize,
    ) -> tokenizers::Result<Vec<Token>> {
        // A window that is itself a token would not be merged from its parts.
        let least = window.max(self.longest + 1);
        let (mut kept, mut start, mut size): (Vec<Token>, usize, usize) = (vec![], 0, least);
        loop {
            let mut end = start.saturating_add(size).min(word.len());
            while !word.is_char_boundary(end) {
                end += 1;
            }
            if start == 0 && end == word.len() {
                return model.tokenize(word);
            }
            if interrupt::tick(end - start) {
                return Err("interrupted".into());
            }
            let mut tokens = model.tokenize(&word[start..end])?;
            // What is dropped without a token leaves no position to cut at.
            if tokens.last().map_or(0, |token| token.offsets.1) != end - start {
                return model.tokenize(word);
            }
            for token in &mut tokens {
                token.offsets = (token.offsets.0 + start, token.offsets.1 + start);
            }
            if !joins(model, word, &kept, &tokens)? {
                kept.truncate(kept.len().saturating_sub(dropped.max(1)));
                start = pop_to_boundary(word, &mut kept);
                size = size.saturating_mul(2);
                continue;
            }
            if end == word.len() {
                kept.append(&mut tokens);
                return Ok(kept);
            }
            let before = kept.len();
            tokens.truncate(tokens.len().saturating_sub(dropped));
            kept.append(&mut tokens);
            start = pop_to_boundary(word, &mut kept);
            // It only grows, so that what is gained outweighs what is encoded again.
            if kept.len() <= before {
                size = size.saturating_mul(2);
            }
        }
    }
}

/// Removes tokens until they end at a character's end; gives that end.
fn pop_to_boundary(word: &str, kept: &mut Vec<Token>) -> usize {
    let is_inside = |token: &Token| !word.is_char_boundary(token.offsets.1);
    while kept.last().is_some_and(is_inside) {
        kept.pop();
    }
    kept.last().map_or(0, |token| token.offsets.1)
}

/// Whether nothing merges across the end of `left`, where `right` begins. Compares whole characters,
/// of which fallback gives several tokens.
fn joins(model: &BPE, word: &str, left: &[Token], right: &[Token]) -> tokenizers::Result<bool> {
    let begins = |token: &Token| word.is_char_boundary(token.offsets.0);
    let ends = |token: &Token| word.is_char_boundary(token.offsets.1);
    let Some(from) = left.iter().rposition(begins) else {
        return Ok(left.is_empty());
    };
    let Some(to) = right.iter().position(ends) else {
        return Ok(false);
    };
    let both = model.tokenize(&word[left[from].offsets.0..right[to].offsets.1])?;
    let expected = left[from..].iter().chain(&right[..=to]);
    Ok(both
        .iter()
        .map(|token| token.id)
        .eq(expected.map(|token| token.id)))
}

//! Streaming detokenisation. What has been emitted is always a prefix of what `decode` gives for
//! all ids so far and for every continuation of them; after `flush` it is equal.

use std::sync::Arc;

use tokenizers::decoders::DecoderWrapper;
use tokenizers::Decoder;

use crate::bytes::{drain_utf8, fallback_byte, from_byte_level};
use crate::error::Result;
use crate::tokenizer::TextTokenizer;

/// How a decoder joins tokens, as far as streaming can know in advance.
pub enum Joining {
    /// GPT-2's byte alphabet: the bytes of all tokens in a row, as UTF-8.
    ByteLevel,
    /// SentencePiece: replaced pieces, runs of byte tokens, leading characters stripped.
    Pieces(Pieces),
    /// Anything else: decode the last ids again at each. With `byte_fallback`, byte tokens are
    /// certain only where their run has ended.
    Window { byte_fallback: bool },
}

/// The window's length while it grows, and what is kept of it: more than a decoder joins.
const WINDOW: usize = 64;
const CONTEXT: usize = 16;

fn falls_back_to_bytes(decoder: &DecoderWrapper) -> bool {
    match decoder {
        DecoderWrapper::ByteFallback(_) => true,
        DecoderWrapper::Sequence(sequence) => {
            sequence.get_decoders().iter().any(falls_back_to_bytes)
        }
        _ => false,
    }
}

#[derive(Default)]
pub struct Pieces {
    replacements: Vec<DecoderWrapper>,
    byte_fallback: bool,
    strip: Option<(char, usize)>, // at the start of the text, at most so many
}

impl Joining {
    pub fn of(decoder: Option<&DecoderWrapper>) -> Self {
        match decoder {
            Some(DecoderWrapper::ByteLevel(_)) => Self::ByteLevel,
            Some(DecoderWrapper::Sequence(sequence)) => match sequence.get_decoders() {
                [DecoderWrapper::ByteLevel(_)] => Self::ByteLevel,
                parts => Pieces::of(parts).map_or_else(|| Self::window(decoder), Self::Pieces),
            },
            _ => Self::window(decoder),
        }
    }

    fn window(decoder: Option<&DecoderWrapper>) -> Self {
        Self::Window {
            byte_fallback: decoder.is_some_and(falls_back_to_bytes),
        }
    }
}

impl Pieces {
    // Accepts Replace* ByteFallback? Fuse Strip?, the order in which these decoders are published.
    fn of(parts: &[DecoderWrapper]) -> Option<Self> {
        let (mut pieces, mut stage) = (Self::default(), 0);
        for part in parts {
            let next = match part {
                DecoderWrapper::Replace(_) => {
                    pieces.replacements.push(part.clone());
                    0
                }
                DecoderWrapper::ByteFallback(_) => {
                    pieces.byte_fallback = true;
                    1
                }
                DecoderWrapper::Fuse(_) => 2,
                DecoderWrapper::Strip(strip) if strip.stop == 0 && stage == 2 => {
                    pieces.strip = Some((strip.content, strip.start));
                    3
                }
                _ => return None,
            };
            if next < stage || (next == 1 && stage == 1) {
                return None;
            }
            stage = next;
        }
        (stage >= 2).then_some(pieces)
    }

    fn replace(&self, token: String) -> String {
        self.replacements.iter().fold(token, |text, replacement| {
            let replaced = replacement.decode_chain(vec![text.clone()]);
            replaced.map_or(text, |parts| parts.concat())
        })
    }

    pub fn bytes(&self, token: &str) -> Vec<u8> {
        let text = self.replace(token.to_string());
        match fallback_byte(&text).filter(|_| self.byte_fallback) {
            Some(byte) => vec![byte],
            None => text.into_bytes(),
        }
    }
}

/// One generation's text. Not to be shared between threads.
pub struct StreamDecoder {
    tokenizer: Arc<TextTokenizer>,
    skip_special: bool,
    pending: Vec<u8>,
    stripped: usize, // leading characters stripped so far
    started: bool,   // text that cannot be stripped has come
    ids: Vec<u32>,   // Window: the last ids
    emitted: String, // Window: what has been emitted of their text
}

impl StreamDecoder {
    pub fn new(tokenizer: Arc<TextTokenizer>, skip_special: bool) -> Self {
        Self {
            tokenizer,
            skip_special,
            pending: Vec::new(),
            stripped: 0,
            started: false,
            ids: Vec::new(),
            emitted: String::new(),
        }
    }

    /// The text that has become certain.
    pub fn push(&mut self, id: u32) -> Result<String> {
        let tokenizer = Arc::clone(&self.tokenizer);
        let Some(token) = tokenizer.visible_token(id, self.skip_special) else {
            return Ok(String::new());
        };
        let mut out = String::new();
        match tokenizer.joining() {
            Joining::ByteLevel => {
                self.pending.extend(from_byte_level(&token));
                drain_utf8(&mut self.pending, &mut out);
            }
            Joining::Pieces(pieces) => self.push_piece(pieces, token, &mut out),
            Joining::Window { byte_fallback } => {
                self.ids.push(id);
                if !(*byte_fallback && fallback_byte(&token).is_some()) {
                    self.emit_window(false, &mut out)?;
                }
            }
        }
        Ok(out)
    }

    /// What was held back. The decoder starts anew.
    pub fn flush(&mut self) -> Result<String> {
        let tokenizer = Arc::clone(&self.tokenizer);
        let mut out = String::new();
        match tokenizer.joining() {
            Joining::ByteLevel => out.push_str(&String::from_utf8_lossy(&self.pending)),
            Joining::Pieces(pieces) => self.end_byte_run(pieces, &mut out),
            Joining::Window { .. } => self.emit_window(true, &mut out)?,
        }
        *self = Self::new(tokenizer, self.skip_special);
        Ok(out)
    }

    fn push_piece(&mut self, pieces: &Pieces, token: String, out: &mut String) {
        let text = pieces.replace(token);
        match fallback_byte(&text).filter(|_| pieces.byte_fallback) {
            // The reference turns every byte of a run into U+FFFD if one is wrong, so a run is
            // certain only when it has ended.
            Some(byte) => self.pending.push(byte),
            None => {
                self.end_byte_run(pieces, out);
                self.emit_stripped(pieces, &text, out);
            }
        }
    }

    fn end_byte_run(&mut self, pieces: &Pieces, out: &mut String) {
        let run = std::mem::take(&mut self.pending);
        if run.is_empty() {
            return;
        }
        let replaced =
            |error: std::string::FromUtf8Error| "\u{fffd}".repeat(error.as_bytes().len());
        let text = String::from_utf8(run).unwrap_or_else(replaced);
        self.emit_stripped(pieces, &text, out);
    }

    fn emit_stripped(&mut self, pieces: &Pieces, text: &str, out: &mut String) {
        let mut rest = text;
        if let Some((content, most)) = pieces.strip.filter(|_| !self.started) {
            while self.stripped < most && rest.starts_with(content) {
                rest = &rest[content.len_utf8()..];
                self.stripped += 1;
            }
        }
        self.started |= !rest.is_empty();
        out.push_str(rest);
    }

    fn emit_window(&mut self, last: bool, out: &mut String) -> Result<()> {
        let text = self.tokenizer.decode(&self.ids, self.skip_special)?;
        let certain = if last {
            &text
        } else {
            text.trim_end_matches('\u{fffd}')
        };
        if let Some(new) = certain.strip_prefix(self.emitted.as_str()) {
            out.push_str(new);
            self.emitted.push_str(new);
        }
        if self.emitted.len() == text.len() {
            self.shorten_window(&text)?;
        }
        Ok(())
    }

    /// Forgets ids whose text no longer matters: what is left must decode to the end of `text`, but
    /// for space at its beginning.
    fn shorten_window(&mut self, text: &str) -> Result<()> {
        if self.ids.len() < WINDOW || self.ids.len() % CONTEXT != 0 {
            return Ok(());
        }
        let kept = &self.ids[self.ids.len() - CONTEXT..];
        let context = self.tokenizer.decode(kept, self.skip_special)?;
        let visible = context.trim_start();
        if !visible.is_empty() && text.ends_with(visible) {
            self.ids = kept.to_vec();
            self.emitted = context;
        }
        Ok(())
    }
}

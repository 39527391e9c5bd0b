//! One tokenizer, whatever file it came from.

use std::str::FromStr;
use std::sync::OnceLock;

use tokenizers::{Model, PostProcessorWrapper};

use crate::bytes::from_byte_level;
use crate::encode::Encoder;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::gguf;
use crate::info::Info;
use crate::model::Pipeline;
use crate::stream::Joining;

const LONGEST_TEXT: usize = 1 << 30;

/// Immutable once built: any thread may use it.
pub struct TextTokenizer {
    pipeline: Pipeline,
    encoder: Encoder,
    // The same, reading special tokens in the text as ordinary text. Made on first use.
    literal: OnceLock<Pipeline>,
    joining: Joining,
    info: Info,
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::new(Kind::Internal, error.to_string())
}

/// The crate panics over some files that are no JSON further down.
fn parse(text: &str) -> tokenizers::Result<Pipeline> {
    serde_json::from_str::<serde::de::IgnoredAny>(text)?;
    std::panic::catch_unwind(|| Pipeline::from_str(text))
        .unwrap_or_else(|_| Err("its parts do not fit together".into()))
}

impl TextTokenizer {
    /// From the text of a Hugging Face tokenizer.json. `context`: see `from_file`.
    pub fn from_json(text: &str, context: &str) -> Result<Self> {
        let mut pipeline =
            parse(text).map_err(|error| Error::corrupt(format!("tokenizer.json: {error}")))?;
        if files::puts_nothing_around(context)? {
            pipeline.with_post_processor(None::<PostProcessorWrapper>);
        }
        let highest = pipeline.get_vocab(true).into_values().max();
        let vocab_size = highest.map_or(0, |id| id.saturating_add(1));
        let mut tokenizer = Self::new(
            pipeline,
            Info {
                vocab_size,
                ..Info::default()
            },
        )?;
        let (prefix, suffix) = tokenizer.encoder.around();
        (tokenizer.info.prefix, tokenizer.info.suffix) = (prefix.to_vec(), suffix.to_vec());
        Ok(tokenizer)
    }

    /// From a GGUF file's metadata, an object with the keys `tokenizer.ggml.*`, as JSON text.
    pub fn from_gguf(metadata: &str) -> Result<Self> {
        let (pipeline, info) = gguf::build(metadata)?;
        Self::new(pipeline, info)
    }

    /// From one of the other files a checkpoint may have, known by its `name`. `context`: a JSON
    /// object with the parsed files around it, `tokenizer_config` and the like.
    pub fn from_file(name: &str, data: &[u8], context: &str) -> Result<Self> {
        let (pipeline, info) = files::build(name, data, context)?;
        Self::new(pipeline, info)
    }

    fn new(mut pipeline: Pipeline, info: Info) -> Result<Self> {
        // What training left in the file; transformers resets both as well.
        pipeline.with_truncation(None).map_err(internal)?;
        pipeline.with_padding(None);
        let joining = Joining::of(pipeline.get_decoder());
        Ok(Self {
            encoder: Encoder::new(&pipeline, info.cuts_runs)?,
            pipeline,
            literal: OnceLock::new(),
            joining,
            info,
        })
    }

    pub fn info(&self) -> &Info {
        &self.info
    }
    pub(crate) fn joining(&self) -> &Joining {
        &self.joining
    }

    /// `parse_special`: special tokens written in the text become their ids. `interrupt::scope` can
    /// end it.
    pub fn encode(&self, text: &str, add_special: bool, parse_special: bool) -> Result<Vec<u32>> {
        // Positions are kept in 32 bits.
        if text.len() > LONGEST_TEXT {
            let message = format!(
                "expected at most {LONGEST_TEXT} bytes of text, got {}",
                text.len()
            );
            return Err(Error::invalid(message));
        }
        let pipeline = if parse_special {
            &self.pipeline
        } else {
            self.literal.get_or_init(|| {
                let mut copy = self.pipeline.clone();
                copy.set_encode_special_tokens(true);
                copy
            })
        };
        self.encoder.encode(pipeline, text, add_special)
    }

    /// Ids without a token are skipped, as in the reference.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        self.pipeline.decode(ids, skip_special).map_err(internal)
    }

    pub fn token(&self, id: u32) -> Option<String> {
        self.pipeline.id_to_token(id)
    }
    pub fn id(&self, token: &str) -> Option<u32> {
        self.pipeline.token_to_id(token)
    }
    pub fn is_special(&self, id: u32) -> bool {
        let added = self
            .pipeline
            .get_added_vocabulary()
            .get_added_tokens_decoder();
        added.get(&id).is_some_and(|token| token.special)
    }
    /// An id the decoder leaves out: unknown, or special and skipped.
    pub(crate) fn visible_token(&self, id: u32, skip_special: bool) -> Option<String> {
        let added = self.pipeline.get_added_vocabulary();
        let token = added
            .simple_id_to_token(id)
            .or_else(|| self.pipeline.get_model().id_to_token(id))?;
        (!skip_special || !added.is_special_token(&token)).then_some(token)
    }

    /// The bytes an id adds to the text, wherever it stands.
    pub fn token_bytes(&self, id: u32) -> Option<Vec<u8>> {
        let token = self.token(id)?;
        Some(match &self.joining {
            Joining::ByteLevel => from_byte_level(&token),
            Joining::Pieces(pieces) => pieces.bytes(&token),
            Joining::Window { .. } => self.decode(&[id], false).ok()?.into_bytes(),
        })
    }
}

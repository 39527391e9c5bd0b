//! The model of each `tokenizer.ggml.model`, and the stages around it.

use ahash::AHashMap;
use serde_json::{json, Value};
use tokenizers::models::bpe::BPE;
use tokenizers::ModelWrapper;

use super::special::{Kinds, TokenKind};
use super::Metadata;
use crate::error::{Error, Result};
use crate::model::AnyModel;
use crate::plamo::Plamo;
use crate::pre::{self, Pre};
use crate::rwkv::{unescape, Rwkv};
use crate::spm::Spm;

/// A model and the stages around it, before special tokens.
pub struct Parts {
    pub model: AnyModel,
    pub normalizer: Value,
    pub pre_tokenizer: Value,
    pub decoder: Value,
    pub add_bos: bool,
}

pub fn build(metadata: Metadata, kinds: &Kinds, unknown: Option<u32>) -> Result<Parts> {
    match metadata.model.as_str() {
        "llama" => Ok(spm(metadata, unknown)),
        "gpt2" => byte_level_bpe(metadata),
        "rwkv" => rwkv(metadata, unknown),
        "plamo2" => plamo(metadata, kinds),
        other => Err(Error::unsupported(format!(
            "tokenizer.ggml.model '{other}'; supported: llama, gpt2, rwkv, plamo2"
        ))),
    }
}

fn scores(metadata: &Metadata) -> Vec<f32> {
    let count = metadata.tokens.len();
    match &metadata.scores {
        Some(scores) => scores[..count]
            .iter()
            .map(|s| s.unwrap_or(f32::NEG_INFINITY))
            .collect(),
        None => vec![0.0; count],
    }
}

fn spm(metadata: Metadata, unknown: Option<u32>) -> Parts {
    let prefix_space = metadata.add_space_prefix.unwrap_or(true);
    let spaces = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let normalizer = if prefix_space {
        json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, spaces]})
    } else {
        spaces
    };
    let scores = scores(&metadata);
    Parts {
        model: AnyModel::Spm(Spm::new(metadata.tokens, scores, unknown)),
        normalizer,
        pre_tokenizer: Value::Null,
        decoder: piece_decoder(prefix_space),
        add_bos: true,
    }
}

fn piece_decoder(strip: bool) -> Value {
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if strip {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    json!({"type": "Sequence", "decoders": decoders})
}

fn byte_level() -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
           "use_regex": false})
}

fn byte_level_bpe(metadata: Metadata) -> Result<Parts> {
    let pre = pre::find(&metadata.pre).ok_or_else(|| {
        let (name, known) = (&metadata.pre, pre::known());
        Error::unsupported(format!(
            "tokenizer.ggml.pre '{name}' is not known; known: {known}"
        ))
    })?;
    let vocabulary: AHashMap<String, u32> = metadata
        .tokens
        .iter()
        .enumerate()
        .map(|(id, token)| (token.clone(), id as u32))
        .collect();
    let merges = merges(metadata.merges, &vocabulary)?;
    let model = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .ignore_merges(pre.ignore_merges)
        .build()
        .map_err(|error| Error::corrupt(format!("tokenizer.ggml.merges: {error}")))?;
    Ok(Parts {
        model: AnyModel::HuggingFace(ModelWrapper::BPE(model)),
        normalizer: if pre.nfc {
            json!({"type": "NFC"})
        } else {
            Value::Null
        },
        pre_tokenizer: splits(pre),
        decoder: byte_level(),
        add_bos: pre.add_bos,
    })
}

fn splits(pre: &Pre) -> Value {
    let split = |pattern: &&str| {
        json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated",
               "invert": false})
    };
    let mut stages: Vec<Value> = pre.patterns.iter().map(split).collect();
    stages.push(byte_level());
    json!({"type": "Sequence", "pretokenizers": stages})
}

/// Pairs in order of rank. A merge with a part or result outside the vocabulary can never apply
/// and is dropped.
fn merges(
    given: Option<Vec<String>>,
    vocabulary: &AHashMap<String, u32>,
) -> Result<Vec<(String, String)>> {
    let given = given.ok_or_else(|| {
        Error::corrupt("tokenizer.ggml.merges is missing; a gpt2 tokenizer needs it")
    })?;
    let mut merges = Vec::with_capacity(given.len());
    for (rank, merge) in given.iter().enumerate() {
        // The first character may itself be a space.
        let first = merge.chars().next().map_or(0, char::len_utf8);
        let Some(at) = merge[first..].find(' ').map(|at| at + first) else {
            let message = format!("tokenizer.ggml.merges[{rank}] '{merge}' is not two tokens");
            return Err(Error::corrupt(message));
        };
        let (left, right) = (&merge[..at], &merge[at + 1..]);
        let known = |token: &str| vocabulary.contains_key(token);
        if known(left) && known(right) && known(&[left, right].concat()) {
            merges.push((left.to_string(), right.to_string()));
        }
    }
    Ok(merges)
}

fn rwkv(metadata: Metadata, unknown: Option<u32>) -> Result<Parts> {
    let entry = |(id, token): (usize, &String)| {
        unescape(token).ok_or_else(|| {
            Error::corrupt(format!(
                "tokenizer.ggml.tokens[{id}] '{token}' has a broken escape"
            ))
        })
    };
    let entries = metadata
        .tokens
        .iter()
        .enumerate()
        .map(entry)
        .collect::<Result<_>>()?;
    Ok(Parts {
        model: AnyModel::Rwkv(Rwkv::new(entries, unknown)),
        normalizer: Value::Null,
        pre_tokenizer: Value::Null,
        decoder: byte_level(),
        add_bos: false,
    })
}

fn plamo(metadata: Metadata, kinds: &Kinds) -> Result<Parts> {
    let scores = scores(&metadata);
    let is_byte = |id: usize| kinds.is(id, TokenKind::Byte);
    let model = Plamo::new(metadata.tokens, &scores, is_byte).map_err(|byte| {
        Error::corrupt(format!(
            "tokenizer.ggml.tokens has no byte token <0x{byte:02X}>"
        ))
    })?;
    Ok(Parts {
        model: AnyModel::Plamo(model),
        normalizer: Value::Null,
        pre_tokenizer: Value::Null,
        decoder: piece_decoder(false),
        add_bos: false,
    })
}

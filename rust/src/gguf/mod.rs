//! The tokenizers GGUF files embed, built into the same pipeline as tokenizer.json's.
//! Reference: llama.cpp, src/llama-vocab.cpp (`load`, `tokenize`), read in 2026.

use ahash::AHashMap;
use serde::Deserialize;
use serde_json::{json, Value};
use tokenizers::{AddedToken, DecoderWrapper, NormalizerWrapper, PreTokenizerWrapper};

use crate::error::{Error, Kind, Result};
use crate::model::Pipeline;
use crate::tokenizer::Info;

mod parts;
mod special;

use parts::Parts;
use special::{Kinds, TokenKind};

#[derive(Deserialize)]
pub struct Metadata {
    #[serde(rename = "tokenizer.ggml.model")]
    model: String,
    #[serde(rename = "tokenizer.ggml.pre", default)]
    pre: String,
    #[serde(rename = "tokenizer.ggml.tokens")]
    tokens: Vec<String>,
    // JSON has no infinities: null is a score that was not finite.
    #[serde(rename = "tokenizer.ggml.scores")]
    scores: Option<Vec<Option<f32>>>,
    #[serde(rename = "tokenizer.ggml.token_type")]
    token_type: Option<Vec<i64>>,
    #[serde(rename = "tokenizer.ggml.merges")]
    merges: Option<Vec<String>>,
    #[serde(rename = "tokenizer.ggml.bos_token_id")]
    bos: Option<i64>,
    #[serde(rename = "tokenizer.ggml.eos_token_id")]
    eos: Option<i64>,
    #[serde(rename = "tokenizer.ggml.eot_token_id")]
    eot: Option<i64>,
    #[serde(rename = "tokenizer.ggml.eom_token_id")]
    eom: Option<i64>,
    #[serde(rename = "tokenizer.ggml.unknown_token_id")]
    unknown: Option<i64>,
    #[serde(rename = "tokenizer.ggml.padding_token_id")]
    pad: Option<i64>,
    #[serde(rename = "tokenizer.ggml.add_bos_token")]
    add_bos: Option<bool>,
    #[serde(rename = "tokenizer.ggml.add_eos_token")]
    add_eos: Option<bool>,
    #[serde(rename = "tokenizer.ggml.add_space_prefix")]
    add_space_prefix: Option<bool>,
}

pub fn build(metadata: &str) -> Result<(Pipeline, Info)> {
    let mut metadata: Metadata = serde_json::from_str(metadata)
        .map_err(|error| Error::corrupt(format!("GGUF tokenizer metadata: {error}")))?;
    check_tokens(&mut metadata)?;
    let mut kinds = Kinds::new(&metadata.tokens, metadata.token_type.as_deref())?;
    let mut info = ids(&metadata);
    special::find_ends(
        &metadata.tokens,
        &mut kinds,
        &mut info,
        id(&metadata, metadata.eom),
    );

    let add_eos = metadata.add_eos.unwrap_or(false);
    let tokens = metadata.tokens.clone();
    let explicit_bos = metadata.add_bos;
    let parts = parts::build(metadata, &kinds, info.unknown)?;
    let add_bos = explicit_bos.unwrap_or(parts.add_bos && info.bos.is_some());
    info.prefix = added("add_bos_token", add_bos, info.bos)?;
    info.suffix = added("add_eos_token", add_eos, info.eos)?;

    let mut pipeline = assemble(parts)?;
    add_special_tokens(&mut pipeline, &tokens, &kinds)?;
    if let Some(template) = post_processor(&info, &tokens) {
        pipeline.with_post_processor(Some(stage::<tokenizers::PostProcessorWrapper>(template)?));
    }
    Ok((pipeline, info))
}

fn check_tokens(metadata: &mut Metadata) -> Result<()> {
    let count = metadata.tokens.len();
    if count == 0 || u32::try_from(count).is_err() {
        return Err(Error::corrupt(format!(
            "tokenizer.ggml.tokens holds {count} tokens"
        )));
    }
    let given = metadata.scores.as_ref().map_or(count, Vec::len);
    if given < count {
        return Err(Error::corrupt(format!(
            "tokenizer.ggml.scores holds {given} numbers, tokenizer.ggml.tokens {count} tokens"
        )));
    }
    for (id, token) in metadata
        .tokens
        .iter_mut()
        .enumerate()
        .filter(|(_, t)| t.is_empty())
    {
        *token = format!("[EMPTY_{id}]");
    }
    let mut seen = AHashMap::with_capacity(count);
    for (id, token) in metadata.tokens.iter().enumerate() {
        if let Some(first) = seen.insert(token.as_str(), id) {
            let message = format!("tokenizer.ggml.tokens: '{token}' has ids {first} and {id}");
            return Err(Error::corrupt(message));
        }
    }
    Ok(())
}

fn id(metadata: &Metadata, given: Option<i64>) -> Option<u32> {
    let id = u32::try_from(given?).ok()?;
    ((id as usize) < metadata.tokens.len()).then_some(id)
}

fn ids(metadata: &Metadata) -> Info {
    let (bos, eos, unknown) = match metadata.model.as_str() {
        "llama" | "plamo2" => (Some(1), Some(2), Some(0)),
        _ => (None, None, None),
    };
    Info {
        bos: id(metadata, metadata.bos.or(bos)),
        eos: id(metadata, metadata.eos.or(eos)),
        eot: id(metadata, metadata.eot),
        pad: id(metadata, metadata.pad),
        unknown: id(metadata, metadata.unknown.or(unknown)),
        vocab_size: metadata.tokens.len() as u32,
        ..Info::default()
    }
}

fn added(flag: &str, wanted: bool, id: Option<u32>) -> Result<Vec<u32>> {
    match (wanted, id) {
        (false, _) => Ok(Vec::new()),
        (true, Some(id)) => Ok(vec![id]),
        (true, None) => {
            let message = format!("tokenizer.ggml.{flag} is true, but no valid id is given for it");
            Err(Error::corrupt(message))
        }
    }
}

fn stage<T: for<'de> Deserialize<'de>>(json: Value) -> Result<T> {
    serde_json::from_value(json).map_err(|error| Error::new(Kind::Internal, error.to_string()))
}

fn assemble(parts: Parts) -> Result<Pipeline> {
    let internal = |error: tokenizers::Error| Error::new(Kind::Internal, error.to_string());
    let mut pipeline = Pipeline::new(parts.model);
    if !parts.normalizer.is_null() {
        let normalizer = stage::<NormalizerWrapper>(parts.normalizer)?;
        pipeline
            .with_normalizer(Some(normalizer))
            .map_err(internal)?;
    }
    if !parts.pre_tokenizer.is_null() {
        pipeline.with_pre_tokenizer(Some(stage::<PreTokenizerWrapper>(parts.pre_tokenizer)?));
    }
    pipeline.with_decoder(Some(stage::<DecoderWrapper>(parts.decoder)?));
    Ok(pipeline)
}

fn add_special_tokens(pipeline: &mut Pipeline, tokens: &[String], kinds: &Kinds) -> Result<()> {
    let added = tokens.iter().enumerate().filter_map(|(id, token)| {
        let special = kinds.is(id, TokenKind::Control) || kinds.is(id, TokenKind::Unknown);
        let matched = special || kinds.is(id, TokenKind::UserDefined);
        matched.then(|| AddedToken::from(token.clone(), special).normalized(false))
    });
    let added: Vec<AddedToken> = added.collect();
    let result = pipeline.add_tokens(added);
    result
        .map(|_| ())
        .map_err(|error| Error::new(Kind::Internal, error.to_string()))
}

fn post_processor(info: &Info, tokens: &[String]) -> Option<Value> {
    if info.prefix.is_empty() && info.suffix.is_empty() {
        return None;
    }
    let mut special = serde_json::Map::new();
    let mut part = |id: &u32| {
        let name = &tokens[*id as usize];
        special.insert(
            name.clone(),
            json!({"id": name, "ids": [id], "tokens": [name]}),
        );
        json!({"SpecialToken": {"id": name, "type_id": 0}})
    };
    let mut single: Vec<Value> = info.prefix.iter().map(&mut part).collect();
    single.push(json!({"Sequence": {"id": "A", "type_id": 0}}));
    single.extend(info.suffix.iter().map(&mut part));
    let pair = json!([{"Sequence": {"id": "A", "type_id": 0}},
                      {"Sequence": {"id": "B", "type_id": 1}}]);
    Some(
        json!({"type": "TemplateProcessing", "single": single, "pair": pair,
                "special_tokens": special}),
    )
}

#[cfg(test)]
mod tests;

//! The tokenizers GGUF files embed, built into the same pipeline as tokenizer.json's.
//! Reference: llama.cpp, src/llama-vocab.cpp (`load`, `tokenize`), read in 2026.

use ahash::AHashMap;
use serde::Deserialize;
use tokenizers::AddedToken;

use crate::error::{Error, Result};
use crate::info::Info;
use crate::model::Pipeline;

mod parts;
mod special;

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
    #[serde(rename = "tokenizer.ggml.add_sep_token")]
    add_sep: Option<bool>,
    #[serde(rename = "tokenizer.ggml.seperator_token_id")] // so GGUF spells it
    separator: Option<i64>,
    #[serde(rename = "tokenizer.ggml.add_space_prefix")]
    add_space_prefix: Option<bool>,
    #[serde(rename = "tokenizer.ggml.remove_extra_whitespaces")]
    remove_extra_spaces: Option<bool>,
    #[serde(rename = "tokenizer.ggml.precompiled_charsmap")]
    charsmap: Option<Vec<i64>>,
    #[serde(rename = "tokenizer.ggml.normalizer.lowercase")]
    lowercase: Option<bool>,
    #[serde(rename = "tokenizer.ggml.normalizer.strip_accents")]
    strip_accents: Option<bool>,
}

pub fn build(metadata: &str) -> Result<(Pipeline, Info)> {
    let mut metadata: Metadata = serde_json::from_str(metadata)
        .map_err(|error| Error::corrupt(format!("GGUF tokenizer metadata: {error}")))?;
    let warnings = check_tokens(&mut metadata)?;
    let mut kinds = Kinds::new(&metadata.tokens, metadata.token_type.as_deref())?;
    let mut info = ids(&metadata);
    special::find_ends(
        &metadata.tokens,
        &mut kinds,
        &mut info,
        id(&metadata, metadata.eom),
    );

    let separator = id(
        &metadata,
        metadata.separator.or(default_separator(&metadata)),
    );
    let given = (metadata.add_bos, metadata.add_eos, metadata.add_sep);
    let (parts, around) = parts::build(&mut metadata, &kinds, info.unknown)?;
    let add_bos = given.0.unwrap_or(around.bos && info.bos.is_some());
    let add_eos = given.1.unwrap_or(around.eos && info.eos.is_some());
    let add_separator = given.2.unwrap_or(around.separator && separator.is_some());
    info.prefix = added("add_bos_token", add_bos, info.bos)?;
    info.suffix = added("add_eos_token", add_eos, info.eos)?;
    info.suffix
        .extend(added("add_sep_token", add_separator, separator)?);
    info.warnings = warnings;

    let special = added_tokens(&metadata.tokens, &kinds);
    let pipeline = parts.assemble(special, &info, &metadata.tokens)?;
    Ok((pipeline, info))
}

fn default_separator(metadata: &Metadata) -> Option<i64> {
    (metadata.model == "bert").then_some(102)
}

/// Names the empty tokens; of a token with several ids, text is encoded to the first.
fn check_tokens(metadata: &mut Metadata) -> Result<Vec<String>> {
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
    let (mut seen, mut repeated) = (AHashMap::with_capacity(count), Vec::new());
    for (id, token) in metadata.tokens.iter().enumerate() {
        match seen.get(token.as_str()) {
            Some(first) => repeated.push((token, *first, id)),
            None => {
                seen.insert(token.as_str(), id);
            }
        }
    }
    let warning = repeated.first().map(|(token, first, second)| {
        format!(
            "tokenizer.ggml.tokens repeats {} of its {count} tokens: '{token}' has ids {first} \
             and {second}; text is encoded to the first",
            repeated.len()
        )
    });
    Ok(warning.into_iter().collect())
}

fn id(metadata: &Metadata, given: Option<i64>) -> Option<u32> {
    let id = u32::try_from(given?).ok()?;
    ((id as usize) < metadata.tokens.len()).then_some(id)
}

fn ids(metadata: &Metadata) -> Info {
    let (bos, eos, unknown) = match metadata.model.as_str() {
        "llama" | "plamo2" => (Some(1), Some(2), Some(0)),
        "t5" => (None, Some(1), Some(2)),
        "bert" => (Some(101), None, Some(100)),
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

/// The tokens found in text before it is tokenized.
fn added_tokens(tokens: &[String], kinds: &Kinds) -> Vec<AddedToken> {
    let added = tokens.iter().enumerate().filter_map(|(id, token)| {
        let special = kinds.is(id, TokenKind::Control) || kinds.is(id, TokenKind::Unknown);
        let matched = special || kinds.is(id, TokenKind::UserDefined);
        matched.then(|| AddedToken::from(token.clone(), special).normalized(false))
    });
    added.collect()
}

#[cfg(test)]
mod tests;

//! The model of each `tokenizer.ggml.model`, and the stages around it.

use ahash::AHashMap;
use serde_json::json;
use tokenizers::models::bpe::BPE;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::ModelWrapper;

use super::special::{Kinds, TokenKind};
use super::Metadata;
use crate::error::{Error, Result};
use crate::model::AnyModel;
use crate::plamo::Plamo;
use crate::pre;
use crate::rwkv::{unescape, Rwkv};
use crate::sentencepiece::{self, Normalizer, Precision, Prefix, SentencePiece, Unigram};
use crate::spm::Spm;
use crate::stages::{self, Parts};
use crate::vocabulary::{check_lengths, Trie, Vocabulary};

/// What is put around a text unless the file says otherwise.
#[derive(Default)]
pub struct Around {
    pub bos: bool,
    pub eos: bool,
    pub separator: bool,
}

const BOS: Around = Around {
    bos: true,
    eos: false,
    separator: false,
};
const EOS: Around = Around {
    bos: false,
    eos: true,
    separator: false,
};

/// `metadata` keeps its tokens.
pub fn build(
    metadata: &mut Metadata,
    kinds: &Kinds,
    unknown: Option<u32>,
) -> Result<(Parts, Around)> {
    match metadata.model.as_str() {
        "llama" => Ok((spm(metadata, kinds, unknown), BOS)),
        "gpt2" => byte_level_bpe(metadata),
        "rwkv" => Ok((rwkv(metadata, kinds, unknown)?, Around::default())),
        "plamo2" => Ok((plamo(metadata, kinds)?, Around::default())),
        "t5" => Ok((unigram(metadata, kinds, unknown)?, EOS)),
        "bert" => word_piece(metadata, unknown),
        other => Err(Error::unsupported(format!(
            "tokenizer.ggml.model '{other}'; supported: llama, gpt2, rwkv, plamo2, t5, bert"
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

fn spm(metadata: &Metadata, kinds: &Kinds, unknown: Option<u32>) -> Parts {
    let mut scores = scores(metadata);
    for (id, score) in scores.iter_mut().enumerate() {
        if kinds.is(id, TokenKind::Control) || kinds.is(id, TokenKind::Unknown) {
            *score = f32::NAN;
        }
    }
    let prefix_space = metadata.add_space_prefix.unwrap_or(true);
    let spaces = stages::replace(" ", "▁");
    let model = Spm::new(metadata.tokens.clone(), scores, unknown);
    let decoder = stages::piece_decoder(prefix_space);
    let mut parts = Parts::new(AnyModel::Spm(model), decoder);
    parts.normalizer = if prefix_space {
        let prepend = json!({"type": "Prepend", "prepend": "▁"});
        stages::sequence_of_normalizers(vec![prepend, spaces])
    } else {
        spaces
    };
    parts
}

/// Ids by token for a model of the `tokenizers` crate, and the tokens of ids that lost theirs.
fn by_token(tokens: &[String]) -> (AHashMap<String, u32>, AHashMap<u32, String>) {
    let vocabulary = Vocabulary::new(tokens.to_vec());
    let repeated = (0..tokens.len() as u32)
        .zip(tokens)
        .filter(|(id, token)| vocabulary.id(token) != Some(*id))
        .map(|(id, token)| (id, token.clone()));
    (vocabulary.ids().clone(), repeated.collect())
}

fn byte_level_bpe(metadata: &mut Metadata) -> Result<(Parts, Around)> {
    let pre = pre::find(&metadata.pre).ok_or_else(|| {
        let (name, known) = (&metadata.pre, pre::known());
        Error::unsupported(format!(
            "tokenizer.ggml.pre '{name}' is not known; known: {known}"
        ))
    })?;
    let (vocabulary, repeated) = by_token(&metadata.tokens);
    let merges = merges(metadata.merges.take(), &vocabulary)?;
    let model = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .ignore_merges(pre.ignore_merges)
        .build()
        .map_err(|error| Error::corrupt(format!("tokenizer.ggml.merges: {error}")))?;
    let model = AnyModel::hugging_face(ModelWrapper::BPE(model), repeated);
    let mut parts = Parts::new(model, stages::byte_level());
    if pre.nfc {
        parts.normalizer = json!({"type": "NFC"});
    }
    let mut cuts = stages::splits(pre.patterns);
    cuts.push(stages::byte_level());
    parts.pre_tokenizer = stages::sequence_of_pre_tokenizers(cuts);
    let around = Around {
        bos: pre.add_bos,
        ..Around::default()
    };
    Ok((parts, around))
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

/// T5's unigram model, as llama.cpp reads it: user-defined tokens cost nothing.
fn unigram(metadata: &mut Metadata, kinds: &Kinds, unknown: Option<u32>) -> Result<Parts> {
    check_lengths("tokenizer.ggml.tokens", &metadata.tokens)?;
    let tokens = &metadata.tokens;
    let entries = |wanted: &[TokenKind]| {
        let wanted = wanted.to_vec();
        (0..tokens.len())
            .filter(move |id| wanted.iter().any(|kind| kinds.is(*id, *kind)))
            .map(|id| (tokens[id].as_bytes(), id as u32))
    };
    let mut scores: Vec<f64> = scores(metadata).into_iter().map(f64::from).collect();
    let normal = entries(&[TokenKind::Normal]).map(|(_, id)| scores[id as usize]);
    let lowest = normal.fold(f64::INFINITY, f64::min);
    for (_, id) in entries(&[TokenKind::UserDefined]) {
        scores[id as usize] = 0.0;
    }
    let charsmap: Vec<u8> = metadata
        .charsmap
        .iter()
        .flatten()
        .map(|byte| *byte as u8)
        .collect();
    let user_defined = Trie::new(entries(&[TokenKind::UserDefined]));
    let mut normalizer = Normalizer::new(&charsmap, user_defined)?;
    normalizer.remove_extra_spaces = metadata.remove_extra_spaces.unwrap_or(false);
    let model = Unigram::new(
        entries(&[TokenKind::Normal, TokenKind::UserDefined]),
        scores,
        lowest,
        Precision::Double,
    );
    let prefix = match metadata.add_space_prefix {
        Some(true) => Prefix::Each,
        _ => Prefix::Never,
    };
    let kind = sentencepiece::Kind::Unigram(model);
    let model = SentencePiece::new(tokens.clone(), normalizer, prefix, kind, unknown);
    let decoder = stages::piece_decoder(prefix == Prefix::Each);
    Ok(Parts::new(
        AnyModel::SentencePiece(Box::new(model)),
        decoder,
    ))
}

/// BERT's WordPiece. GGUF marks the pieces that start a word, BERT those that continue one.
fn word_piece(metadata: &mut Metadata, unknown: Option<u32>) -> Result<(Parts, Around)> {
    for token in &mut metadata.tokens {
        if let Some(start) = token.strip_prefix('▁').filter(|word| !word.is_empty()) {
            *token = start.to_string();
        } else if !(token.starts_with('[') && token.ends_with(']')) {
            *token = format!("##{token}");
        }
    }
    let (vocabulary, repeated) = by_token(&metadata.tokens);
    let unknown = unknown.map(|id| metadata.tokens[id as usize].clone());
    let unknown = unknown
        .ok_or_else(|| Error::corrupt("a bert tokenizer needs tokenizer.ggml.unknown_token_id"))?;
    let model = WordPiece::builder()
        .vocab(vocabulary)
        .unk_token(unknown)
        .build()
        .map_err(|error| Error::corrupt(format!("tokenizer.ggml.tokens: {error}")))?;
    let model = AnyModel::hugging_face(ModelWrapper::WordPiece(model), repeated);
    let decoder = json!({"type": "WordPiece", "prefix": "##", "cleanup": true});
    let mut parts = Parts::new(model, decoder);
    let lowercase = metadata.lowercase.unwrap_or(true);
    parts.normalizer = json!({
        "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
        "lowercase": lowercase, "strip_accents": metadata.strip_accents.unwrap_or(lowercase),
    });
    parts.pre_tokenizer = json!({"type": "BertPreTokenizer"});
    let around = Around {
        bos: true,
        separator: true,
        ..Around::default()
    };
    Ok((parts, around))
}

fn rwkv(metadata: &Metadata, kinds: &Kinds, unknown: Option<u32>) -> Result<Parts> {
    let entry = |(id, token): (usize, &String)| {
        unescape(token).ok_or_else(|| {
            Error::corrupt(format!(
                "tokenizer.ggml.tokens[{id}] '{token}' has a broken escape"
            ))
        })
    };
    let entries: Vec<Vec<u8>> = metadata
        .tokens
        .iter()
        .enumerate()
        .map(entry)
        .collect::<Result<_>>()?;
    check_lengths("tokenizer.ggml.tokens", &metadata.tokens)?;
    let model = Rwkv::new(&entries, |id| !kinds.is(id, TokenKind::Control), unknown);
    Ok(Parts::new(AnyModel::Rwkv(model), stages::byte_level()))
}

fn plamo(metadata: &Metadata, kinds: &Kinds) -> Result<Parts> {
    check_lengths("tokenizer.ggml.tokens", &metadata.tokens)?;
    let cost = |(id, score): (usize, f32)| match kinds.is(id, TokenKind::Byte) {
        true => f64::NAN,
        false => -(f64::from(score) * 1e4).round(),
    };
    let costs: Vec<f64> = scores(metadata).into_iter().enumerate().map(cost).collect();
    let model = Plamo::new(metadata.tokens.clone(), &costs, true);
    let model = model.map_err(|byte| {
        Error::corrupt(format!(
            "tokenizer.ggml.tokens has no byte token <0x{byte:02X}>"
        ))
    })?;
    let decoder = stages::piece_decoder(false);
    Ok(Parts::new(AnyModel::Plamo(model), decoder))
}

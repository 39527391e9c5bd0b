//! The stages around a model, and their assembly into a pipeline. Stages are written as JSON, in the
//! words of tokenizer.json.

use serde::Deserialize;
use serde_json::{json, Value};
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
};

use crate::error::{Error, Kind, Result};
use crate::info::Info;
use crate::model::{AnyModel, Pipeline};

/// A model and the stages around it, before special tokens.
pub struct Parts {
    pub model: AnyModel,
    pub normalizer: Value,
    pub pre_tokenizer: Value,
    pub decoder: Value,
}

impl Parts {
    pub fn new(model: AnyModel, decoder: Value) -> Self {
        Self {
            model,
            normalizer: Value::Null,
            pre_tokenizer: Value::Null,
            decoder,
        }
    }

    /// `added`: tokens found in text before the model sees it. `pieces` by id: what the ids that
    /// `info` puts around a text are called.
    pub fn assemble(
        self,
        added: Vec<AddedToken>,
        info: &Info,
        pieces: &[String],
    ) -> Result<Pipeline> {
        let mut pipeline = Pipeline::new(self.model);
        if !self.normalizer.is_null() {
            let normalizer = stage::<NormalizerWrapper>(self.normalizer)?;
            pipeline
                .with_normalizer(Some(normalizer))
                .map_err(internal)?;
        }
        if !self.pre_tokenizer.is_null() {
            pipeline.with_pre_tokenizer(Some(stage::<PreTokenizerWrapper>(self.pre_tokenizer)?));
        }
        pipeline.with_decoder(Some(stage::<DecoderWrapper>(self.decoder)?));
        pipeline.add_tokens(added).map_err(internal)?;
        if let Some(template) = post_processor(info, pieces) {
            pipeline.with_post_processor(Some(stage::<PostProcessorWrapper>(template)?));
        }
        Ok(pipeline)
    }
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::new(Kind::Internal, error.to_string())
}

fn stage<T: for<'de> Deserialize<'de>>(json: Value) -> Result<T> {
    serde_json::from_value(json).map_err(internal)
}

pub fn replace(from: &str, to: &str) -> Value {
    json!({"type": "Replace", "pattern": {"String": from}, "content": to})
}

pub fn sequence_of_normalizers(normalizers: Vec<Value>) -> Value {
    json!({"type": "Sequence", "normalizers": normalizers})
}

/// SentencePiece's decoder; `strip`: without the space that encoding put in front.
pub fn piece_decoder(strip: bool) -> Value {
    let mut decoders = vec![
        replace("▁", " "),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if strip {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    json!({"type": "Sequence", "decoders": decoders})
}

pub fn byte_level() -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
           "use_regex": false})
}

/// Cuts every stretch into the matches of each pattern and what is between, one after the other.
pub fn splits<S: AsRef<str>>(patterns: &[S]) -> Vec<Value> {
    let split = |pattern: &S| {
        json!({"type": "Split", "pattern": {"Regex": pattern.as_ref()}, "behavior": "Isolated",
               "invert": false})
    };
    patterns.iter().map(split).collect()
}

pub fn sequence_of_pre_tokenizers(stages: Vec<Value>) -> Value {
    json!({"type": "Sequence", "pretokenizers": stages})
}

fn post_processor(info: &Info, pieces: &[String]) -> Option<Value> {
    if info.prefix.is_empty() && info.suffix.is_empty() {
        return None;
    }
    let mut special = serde_json::Map::new();
    let mut part = |id: &u32| {
        let name = &pieces[*id as usize];
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

//! The models a tokenizer can have: those of the `tokenizers` crate, and the three algorithms that
//! GGUF vocabularies need and the crate lacks. All share its pipeline around them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ahash::AHashMap;
use serde::{Deserialize, Deserializer};
use tokenizers::models::bpe::BPE;
use tokenizers::models::TrainerWrapper;
use tokenizers::{
    DecoderWrapper, Model, ModelWrapper, NormalizerWrapper, PostProcessorWrapper,
    PreTokenizerWrapper, Token, TokenizerImpl,
};

use crate::plamo::Plamo;
use crate::rwkv::Rwkv;
use crate::spm::Spm;

pub type Pipeline = TokenizerImpl<
    AnyModel,
    NormalizerWrapper,
    PreTokenizerWrapper,
    PostProcessorWrapper,
    DecoderWrapper,
>;

/// Pieces by id, and back. Pieces are distinct.
#[derive(Clone)]
pub struct Vocabulary {
    pieces: Vec<String>,
    ids: AHashMap<String, u32>,
}

impl Vocabulary {
    pub fn new(pieces: Vec<String>) -> Self {
        let ids = pieces
            .iter()
            .enumerate()
            .map(|(id, piece)| (piece.clone(), id as u32))
            .collect();
        Self { pieces, ids }
    }
    pub fn id(&self, piece: &str) -> Option<u32> {
        self.ids.get(piece).copied()
    }
    pub fn piece(&self, id: u32) -> Option<&str> {
        self.pieces.get(id as usize).map(String::as_str)
    }
    pub fn len(&self) -> usize {
        self.pieces.len()
    }
    pub fn token(&self, id: u32, offsets: (usize, usize)) -> Token {
        Token::new(id, self.piece(id).unwrap_or_default().to_string(), offsets)
    }
}

/// A tokenization algorithm over a fixed vocabulary. `segment` gets one stretch of normalised text.
pub trait Algorithm {
    fn vocabulary(&self) -> &Vocabulary;
    fn segment(&self, text: &str) -> Vec<Token>;
}

#[derive(Clone)]
pub enum AnyModel {
    HuggingFace(ModelWrapper),
    Spm(Spm),
    Rwkv(Rwkv),
    Plamo(Plamo),
}

impl AnyModel {
    fn algorithm(&self) -> Result<&dyn Algorithm, &ModelWrapper> {
        match self {
            Self::HuggingFace(model) => Err(model),
            Self::Spm(model) => Ok(model),
            Self::Rwkv(model) => Ok(model),
            Self::Plamo(model) => Ok(model),
        }
    }
}

impl<'de> Deserialize<'de> for AnyModel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ModelWrapper::deserialize(deserializer).map(Self::HuggingFace)
    }
}

impl Model for AnyModel {
    type Trainer = TrainerWrapper;

    fn tokenize(&self, sequence: &str) -> tokenizers::Result<Vec<Token>> {
        match self.algorithm() {
            Ok(own) => Ok(own.segment(sequence)),
            Err(model) => model.tokenize(sequence),
        }
    }
    fn token_to_id(&self, token: &str) -> Option<u32> {
        match self.algorithm() {
            Ok(own) => own.vocabulary().id(token),
            Err(model) => model.token_to_id(token),
        }
    }
    fn id_to_token(&self, id: u32) -> Option<String> {
        match self.algorithm() {
            Ok(own) => own.vocabulary().piece(id).map(str::to_string),
            Err(model) => model.id_to_token(id),
        }
    }
    fn get_vocab(&self) -> HashMap<String, u32> {
        match self.algorithm() {
            Ok(own) => own
                .vocabulary()
                .ids
                .iter()
                .map(|(k, v)| (k.clone(), *v))
                .collect(),
            Err(model) => model.get_vocab(),
        }
    }
    fn get_vocab_size(&self) -> usize {
        match self.algorithm() {
            Ok(own) => own.vocabulary().len(),
            Err(model) => model.get_vocab_size(),
        }
    }
    fn save(&self, folder: &Path, prefix: Option<&str>) -> tokenizers::Result<Vec<PathBuf>> {
        match self.algorithm() {
            Ok(_) => Err("a GGUF vocabulary has no Hugging Face form".into()),
            Err(model) => model.save(folder, prefix),
        }
    }
    // The trait demands one; nothing here trains.
    fn get_trainer(&self) -> TrainerWrapper {
        match self.algorithm() {
            Ok(_) => ModelWrapper::BPE(BPE::default()).get_trainer(),
            Err(model) => model.get_trainer(),
        }
    }
}

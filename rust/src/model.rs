//! The models a tokenizer can have: those of the `tokenizers` crate, and the algorithms that other
//! files need and the crate lacks. All share its pipeline around them.

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

use crate::encode::long_words::LongWords;
use crate::interrupt;
use crate::plamo::Plamo;
use crate::rank_bpe::RankBpe;
use crate::rwkv::Rwkv;
use crate::sentencepiece::SentencePiece;
use crate::spm::Spm;
use crate::vocabulary::Algorithm;

pub type Pipeline = TokenizerImpl<
    AnyModel,
    NormalizerWrapper,
    PreTokenizerWrapper,
    PostProcessorWrapper,
    DecoderWrapper,
>;

#[derive(Clone)]
pub enum AnyModel {
    HuggingFace(Box<HuggingFace>),
    Spm(Spm),
    Rwkv(Rwkv),
    Plamo(Plamo),
    SentencePiece(Box<SentencePiece>),
    RankBpe(RankBpe),
}

#[derive(Clone)]
pub struct HuggingFace {
    model: ModelWrapper,
    /// Ids whose token has another id as well, which the model cannot hold.
    repeated: AHashMap<u32, String>,
    long_words: Option<LongWords>,
}

impl HuggingFace {
    fn tokenize(&self, word: &str) -> tokenizers::Result<Vec<Token>> {
        match (&self.model, &self.long_words) {
            (ModelWrapper::BPE(model), Some(long)) => long.tokenize(model, word),
            (model, _) => model.tokenize(word),
        }
    }
}

impl AnyModel {
    /// `repeated`: see there.
    pub fn hugging_face(model: ModelWrapper, repeated: AHashMap<u32, String>) -> Self {
        let long_words = match &model {
            ModelWrapper::BPE(model) => LongWords::of(model),
            _ => None,
        };
        Self::HuggingFace(Box::new(HuggingFace {
            model,
            repeated,
            long_words,
        }))
    }

    fn algorithm(&self) -> Result<&dyn Algorithm, &HuggingFace> {
        match self {
            Self::HuggingFace(theirs) => Err(theirs),
            Self::Spm(model) => Ok(model),
            Self::Rwkv(model) => Ok(model),
            Self::Plamo(model) => Ok(model),
            Self::SentencePiece(model) => Ok(model.as_ref()),
            Self::RankBpe(model) => Ok(model),
        }
    }
}

impl<'de> Deserialize<'de> for AnyModel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let model = ModelWrapper::deserialize(deserializer)?;
        Ok(Self::hugging_face(model, AHashMap::new()))
    }
}

impl Model for AnyModel {
    type Trainer = TrainerWrapper;

    fn tokenize(&self, sequence: &str) -> tokenizers::Result<Vec<Token>> {
        match self.algorithm() {
            Ok(own) => {
                let tokens = own.segment(sequence);
                interrupt::check()?;
                Ok(tokens)
            }
            Err(theirs) => theirs.tokenize(sequence),
        }
    }
    fn token_to_id(&self, token: &str) -> Option<u32> {
        match self.algorithm() {
            Ok(own) => own.vocabulary().id(token),
            Err(theirs) => theirs.model.token_to_id(token),
        }
    }
    fn id_to_token(&self, id: u32) -> Option<String> {
        match self.algorithm() {
            Ok(own) => own.vocabulary().piece(id).map(str::to_string),
            Err(theirs) => theirs
                .model
                .id_to_token(id)
                .or_else(|| theirs.repeated.get(&id).cloned()),
        }
    }
    fn get_vocab(&self) -> HashMap<String, u32> {
        match self.algorithm() {
            Ok(own) => own
                .vocabulary()
                .ids()
                .iter()
                .map(|(k, v)| (k.clone(), *v))
                .collect(),
            Err(theirs) => theirs.model.get_vocab(),
        }
    }
    fn get_vocab_size(&self) -> usize {
        match self.algorithm() {
            Ok(own) => own.vocabulary().len(),
            Err(theirs) => theirs.model.get_vocab_size() + theirs.repeated.len(),
        }
    }
    fn save(&self, folder: &Path, prefix: Option<&str>) -> tokenizers::Result<Vec<PathBuf>> {
        match self.algorithm() {
            Ok(_) => Err("this vocabulary has no Hugging Face form".into()),
            Err(theirs) => theirs.model.save(folder, prefix),
        }
    }
    // The trait demands one; nothing here trains.
    fn get_trainer(&self) -> TrainerWrapper {
        match self.algorithm() {
            Ok(_) => ModelWrapper::BPE(BPE::default()).get_trainer(),
            Err(theirs) => theirs.model.get_trainer(),
        }
    }
}

//! tokenizer.model, SentencePiece's file. transformers' classes for Llama and Gemma take the pieces
//! alone and rank merges by id; any other class encodes as SentencePiece itself does.

use ahash::AHashMap;
use serde_json::{json, Value};
use tokenizers::models::bpe::BPE;
use tokenizers::ModelWrapper;

use super::{Context, Read};
use crate::error::{Error, Result};
use crate::info::Info;
use crate::model::AnyModel;
use crate::sentencepiece::proto::{ModelFile, ModelKind, PieceKind};
use crate::sentencepiece::{
    Bpe, Kind, Normalizer, Precision, Prefix, SentencePiece, Unigram, FIRST,
};
use crate::stages::{self, Parts};
use crate::vocabulary::{check_lengths, Trie, Vocabulary};

pub fn read(data: &[u8], context: &Context) -> Result<Read> {
    let file = ModelFile::parse(data)?;
    let own_pieces: Vec<String> = (0..file.pieces.len()).map(|id| name(&file, id)).collect();
    let pieces = context.with_added(own_pieces.clone())?;
    let ids_of = |wanted: &[PieceKind]| -> Vec<u32> {
        let ids = 0..file.pieces.len() as u32;
        ids.filter(|id| wanted.contains(&file.pieces[*id as usize].kind))
            .collect()
    };
    let ranked_by_id = file.kind == ModelKind::Bpe
        && matches!(context.class.as_str(), "LlamaTokenizer" | "GemmaTokenizer");
    let (parts, user_defined) = if ranked_by_id {
        let parts = ranked(&file, pieces, context)?;
        (parts, ids_of(&[PieceKind::UserDefined]))
    } else {
        (exact(&file, pieces, context)?, Vec::new())
    };
    Ok(Read {
        parts,
        info: Info {
            bos: file.id(file.bos),
            eos: file.id(file.eos),
            pad: file.id(file.pad),
            unknown: file.id(file.unknown),
            ..Info::default()
        },
        special: ids_of(&[PieceKind::Control, PieceKind::Unknown]),
        user_defined,
        pieces: own_pieces,
        adds_bos: false,
    })
}

fn name(file: &ModelFile, id: usize) -> String {
    match file.pieces[id].text.as_str() {
        "" => format!("[EMPTY_{id}]"),
        text => text.to_string(),
    }
}

/// A stage that puts U+2581, or what stands for it, before a text and for its spaces.
fn metaspace(replacement: char, scheme: &str) -> Value {
    json!({"type": "Metaspace", "replacement": replacement, "prepend_scheme": scheme,
           "split": false})
}

/// transformers' LlamaTokenizer and GemmaTokenizer.
fn ranked(file: &ModelFile, pieces: Vec<String>, context: &Context) -> Result<Parts> {
    let vocabulary = Vocabulary::new(pieces);
    let repeated: AHashMap<u32, String> = (0..vocabulary.len() as u32)
        .zip(vocabulary.pieces())
        .filter(|(id, piece)| vocabulary.id(piece) != Some(*id))
        .map(|(id, piece)| (id, piece.clone()))
        .collect();
    let gemma = context.class == "GemmaTokenizer";
    let mut model = BPE::builder()
        .vocab_and_merges(vocabulary.ids().clone(), merges(file, &vocabulary))
        .fuse_unk(true)
        .byte_fallback(true);
    let unknown = file.id(file.unknown).and_then(|id| vocabulary.piece(id));
    if let Some(unknown) = unknown.filter(|_| gemma) {
        model = model.unk_token(unknown.to_string());
    }
    let model = model
        .build()
        .map_err(|error| Error::corrupt(format!("tokenizer.model: {error}")))?;
    let model = AnyModel::hugging_face(ModelWrapper::BPE(model), repeated);
    let prefix = !gemma && context.add_prefix_space.unwrap_or(true);
    let mut parts = Parts::new(model, stages::piece_decoder(prefix));
    if gemma {
        parts.normalizer = stages::replace(" ", "▁");
    } else {
        let every = context.legacy.unwrap_or(false);
        let scheme = match (prefix, every) {
            (false, _) => "never",
            (true, true) => "always",
            (true, false) => "first",
        };
        parts.pre_tokenizer = metaspace('▁', scheme);
    }
    Ok(parts)
}

/// Every way to make a piece of two others, by the id of the result, the shortest left part first.
/// Special pieces and bytes are not spelled by text.
fn merges(file: &ModelFile, vocabulary: &Vocabulary) -> Vec<(String, String)> {
    let mut merges = Vec::new();
    for (id, piece) in file.pieces.iter().enumerate() {
        let renamed = vocabulary.piece(id as u32) != Some(piece.text.as_str());
        if renamed || !matches!(piece.kind, PieceKind::Normal | PieceKind::UserDefined) {
            continue;
        }
        for (at, _) in piece.text.char_indices().skip(1) {
            let (left, right) = piece.text.split_at(at);
            if vocabulary.id(left).is_some() && vocabulary.id(right).is_some() {
                merges.push((left.to_string(), right.to_string()));
            }
        }
    }
    merges
}

/// SentencePiece itself.
fn exact(file: &ModelFile, pieces: Vec<String>, context: &Context) -> Result<Parts> {
    check_lengths("tokenizer.model", &pieces)?;
    let entries = |wanted: &'static [PieceKind]| {
        let all = file.pieces.iter().zip(0u32..);
        all.filter(move |(piece, _)| wanted.contains(&piece.kind) && !piece.text.is_empty())
            .map(|(piece, id)| (piece.text.as_bytes(), id))
    };
    let user_defined = Trie::new(entries(&[PieceKind::UserDefined]));
    let mut normalizer = Normalizer::new(&file.charsmap, user_defined)?;
    normalizer.remove_extra_spaces = file.remove_extra_spaces;
    normalizer.escape_spaces = file.escape_spaces;
    normalizer.space_as_suffix = file.space_as_suffix;
    let prefix = match (
        file.dummy_prefix && context.add_prefix_space != Some(false),
        context.legacy.unwrap_or(true),
    ) {
        (false, _) => Prefix::Never,
        (true, true) => Prefix::Each,
        (true, false) => Prefix::First,
    };
    let kind = match file.kind {
        ModelKind::Unigram => {
            let (scores, lowest) = unigram_scores(file);
            let matched = &[PieceKind::Normal, PieceKind::UserDefined];
            let model = Unigram::new(entries(matched), scores, lowest, Precision::Single);
            Kind::Unigram(model)
        }
        ModelKind::Bpe => {
            let unused = entries(&[PieceKind::Unused]).map(|(_, id)| id).collect();
            let scores = bpe_scores(file, &pieces);
            Kind::Bpe(Bpe { scores, unused })
        }
        ModelKind::Word => Kind::Word,
        ModelKind::Char => Kind::Char,
    };
    let unknown = file.id(file.unknown);
    let mut model = SentencePiece::new(pieces, normalizer, prefix, kind, unknown);
    if file.byte_fallback {
        model = model.with_byte_fallback();
    }
    let decoder = stages::piece_decoder(prefix != Prefix::Never);
    let mut parts = Parts::new(AnyModel::SentencePiece(Box::new(model)), decoder);
    if prefix == Prefix::First {
        parts.pre_tokenizer = metaspace(FIRST, "first");
    }
    Ok(parts)
}

/// By id, and the lowest of a normal piece. A user-defined piece always wins over what it covers.
fn unigram_scores(file: &ModelFile) -> (Vec<f64>, f64) {
    let normal = file.pieces.iter().filter(|p| p.kind == PieceKind::Normal);
    let normal: Vec<f64> = normal.map(|piece| f64::from(piece.score)).collect();
    let lowest = normal.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = normal.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let score = |piece: &crate::sentencepiece::proto::Piece| match piece.kind {
        PieceKind::UserDefined => piece.text.len() as f64 * highest - 0.1,
        _ => f64::from(piece.score),
    };
    (file.pieces.iter().map(score).collect(), lowest)
}

fn bpe_scores(file: &ModelFile, pieces: &[String]) -> Vec<f32> {
    let merged = [PieceKind::Normal, PieceKind::UserDefined, PieceKind::Unused];
    let score = |(id, piece): (usize, &String)| match file.pieces.get(id) {
        Some(own) if merged.contains(&own.kind) && own.text == *piece => own.score,
        _ => f32::NAN,
    };
    pieces.iter().enumerate().map(score).collect()
}

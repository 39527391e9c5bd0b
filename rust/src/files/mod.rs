//! The tokenizers of Hugging Face folders without a tokenizer.json, built into the same pipeline.
//! Which file means what is transformers' (`convert_to_native_format` and the converters it calls,
//! read at 5.24), or that of the Python tokenizer which the folder brings along.

use crate::error::{Error, Result};
use crate::info::Info;
use crate::model::{AnyModel, Pipeline};
use crate::plamo::Plamo;
use crate::stages::{self, Parts};
use crate::vocabulary::check_lengths;

mod context;
mod python_literal;
mod rwkv;
mod sentencepiece;
mod tekken;
mod tiktoken;
mod vocab_merges;

use context::Context;

/// A model with its stages, and what the file alone says of its tokens.
struct Read {
    parts: Parts,
    pieces: Vec<String>, // by id, without the context's added tokens
    info: Info,
    special: Vec<u32>, // ids that text spells only where special tokens are asked for
    user_defined: Vec<u32>, // found in text before anything else
    adds_bos: bool,    // unless the context says otherwise
}

/// `name`: the file's name in its folder. `context`: a JSON object of the parsed files around it.
pub fn build(name: &str, data: &[u8], context: &str) -> Result<(Pipeline, Info)> {
    let mut context = Context::parse(context)?;
    let read = match name {
        "tekken.json" => tekken::read(data, &context)?,
        "tokenizer.jsonl" => plamo(data, &context)?,
        "vocab.json" => vocab_merges::read(data, &mut context)?,
        name if name.starts_with("rwkv_vocab") => rwkv::read(data, &context)?,
        name if name.ends_with(".tiktoken") || name == "tiktoken.model" => {
            tiktoken::read(name, data, &context)?
        }
        // Llama 3's tokenizer.model holds tiktoken's ranks.
        name if name.ends_with(".model") && tiktoken::looks_like(data) => {
            tiktoken::read(name, data, &context)?
        }
        name if name.ends_with(".model") => sentencepiece::read(data, &context)?,
        other => {
            return Err(Error::unsupported(format!(
                "'{other}' is not the name of a tokenizer file"
            )))
        }
    };
    finish(read, &context)
}

/// Whether transformers puts no token around a text whatever tokenizer.json says: where the folder's
/// class is GPTNeoXTokenizer, and the model's type has no other. `add_bos_token` and `add_eos_token`
/// of tokenizer_config.json, in contrast, count for nothing beside a tokenizer.json.
pub fn puts_nothing_around(context: &str) -> Result<bool> {
    const NEOX: &str = "GPTNeoXTokenizer";
    const NEOX_TYPES: [&str; 9] = [
        "falcon_mamba",
        "gpt_neox",
        "mamba",
        "mamba2",
        "mpt",
        "olmo",
        "olmoe",
        "rwkv",
        "xlstm",
    ];
    // Of these, transformers reads the file whatever the class is called.
    const FILE_ALONE: [&str; 13] = [
        "glm4",
        "granite",
        "granitemoehybrid",
        "internlm3",
        "jamba",
        "kimi_linear",
        "minicpm3",
        "mistral",
        "mixtral",
        "olmo2",
        "olmo_hybrid",
        "phi3",
        "stablelm",
    ];
    let files: serde_json::Value = serde_json::from_str(context)
        .map_err(|error| Error::invalid(format!("tokenizer context: {error}")))?;
    let text = |at: &str| files.pointer(at).and_then(serde_json::Value::as_str);
    let class = text("/tokenizer_config/tokenizer_class").or(text("/config/tokenizer_class"));
    let model_type = text("/config/model_type").unwrap_or_default();
    Ok(match class {
        Some(class) => class.trim_end_matches("Fast") == NEOX && !FILE_ALONE.contains(&model_type),
        None => NEOX_TYPES.contains(&model_type),
    })
}

fn finish(read: Read, context: &Context) -> Result<(Pipeline, Info)> {
    let Read {
        parts,
        pieces,
        mut info,
        special,
        user_defined,
        adds_bos,
    } = read;
    let pieces = context.with_added(pieces)?;
    let id = |token: Option<&str>| {
        let position = pieces
            .iter()
            .position(|piece| Some(piece.as_str()) == token);
        position.map(|id| id as u32)
    };
    info.bos = id(context.named("bos_token")).or(info.bos);
    info.eos = id(context.named("eos_token")).or(info.eos);
    info.pad = id(context.named("pad_token")).or(info.pad);
    info.unknown = id(context.named("unk_token")).or(info.unknown);
    info.vocab_size = pieces.len() as u32;
    info.end_ids = info.eos.into_iter().collect();
    if context.add_bos.unwrap_or(adds_bos) {
        info.prefix.extend(info.bos);
    }
    if context.add_eos.unwrap_or(false) {
        info.suffix.extend(info.eos);
    }
    let added = context.added_tokens(&pieces, &special, &user_defined);
    let pipeline = parts.assemble(added, &info, &pieces)?;
    Ok((pipeline, info))
}

/// PLaMo-2's `tokenizer.jsonl`: a line `[token, score, type, ...]` for each id.
fn plamo(data: &[u8], context: &Context) -> Result<Read> {
    let text = utf8("tokenizer.jsonl", data)?;
    let (mut pieces, mut costs, mut special) = (vec![], vec![], vec![]);
    for (number, line) in text
        .lines()
        .enumerate()
        .filter(|(_, l)| !l.trim().is_empty())
    {
        let (token, score, kind) = plamo_line(line).ok_or_else(|| {
            let wanted = r#"expected ["token", score, "TYPE", ...]"#;
            Error::corrupt(format!("tokenizer.jsonl, line {}: {wanted}", number + 1))
        })?;
        // As llama.cpp's converter tells them; the Python tokenizer leaves it to the configuration.
        if matches!(kind.as_str(), "UNKNOWN" | "CONTROL") || token.starts_with("<|plamo:") {
            special.push(pieces.len() as u32);
        }
        pieces.push(token);
        let is_piece = kind != "BYTE" && special.last() != Some(&(costs.len() as u32));
        // As Python rounds.
        costs.push(match is_piece {
            true => -(score * 1e4).round_ties_even(),
            false => f64::NAN,
        });
    }
    check_lengths("tokenizer.jsonl", &pieces)?;
    let extended = context.with_added(pieces.clone())?;
    let size = pieces.len();
    costs.resize(extended.len(), f64::NAN);
    let model = Plamo::new(extended, &costs, false).map_err(|byte| {
        Error::corrupt(format!("tokenizer.jsonl has no byte token <0x{byte:02X}>"))
    })?;
    let known = |id: u32| ((id as usize) < size).then_some(id);
    let info = Info {
        unknown: known(0),
        bos: known(1),
        eos: known(2),
        pad: known(3),
        ..Info::default()
    };
    Ok(Read {
        parts: Parts::new(AnyModel::Plamo(model), stages::piece_decoder(false)),
        pieces,
        info,
        special,
        user_defined: Vec::new(),
        adds_bos: false,
    })
}

fn plamo_line(line: &str) -> Option<(String, f64, String)> {
    let row: Vec<serde_json::Value> = serde_json::from_str(line).ok()?;
    let token = row.first()?.as_str()?.to_string();
    // Python writes infinities as JSON does not; they mark what is no piece.
    let score = row.get(1)?.as_f64().unwrap_or(f64::NEG_INFINITY);
    let kind = row
        .get(2)
        .and_then(|kind| kind.as_str())
        .unwrap_or("NORMAL");
    Some((token, score, kind.to_string()))
}

fn utf8<'a>(what: &str, data: &'a [u8]) -> Result<&'a str> {
    std::str::from_utf8(data).map_err(|error| Error::corrupt(format!("{what}: {error}")))
}

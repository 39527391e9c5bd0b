//! vocab.json and merges.txt, GPT-2's files. How text is normalised and cut is transformers' class's
//! own affair, which tokenizer_config.json or the model's type names.

use ahash::AHashMap;
use serde_json::json;
use tokenizers::models::bpe::BPE;
use tokenizers::ModelWrapper;

use super::{utf8, Context, Read};
use crate::error::{Error, Result};
use crate::info::Info;
use crate::model::AnyModel;
use crate::pre;
use crate::stages::{self, Parts};

const MOST_TOKENS: u32 = 1 << 22;
const END: &str = "<|endoftext|>";

/// What a class does besides merging.
struct Class {
    name: &'static str,
    model_types: &'static [&'static str], // that have it where nothing names a class
    pre: &'static str,                    // in the table of `pre`
    nfc: bool,
    bos: bool, // END stands for BOS as well
}

const CLASSES: [Class; 2] = [
    Class {
        name: "GPT2Tokenizer",
        model_types: &["gpt2", "starcoder2"],
        pre: "gpt-2",
        nfc: false,
        bos: true,
    },
    Class {
        name: "Qwen2Tokenizer",
        model_types: &["qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "qwen3_next"],
        pre: "qwen2",
        nfc: true,
        bos: false,
    },
];

fn class(context: &Context) -> Result<&'static Class> {
    let is_named = |class: &&Class| match context.class.as_str() {
        "" => class.model_types.contains(&context.model_type.as_str()),
        name => class.name == name,
    };
    CLASSES.iter().find(is_named).ok_or_else(|| {
        let (name, of) = match context.class.as_str() {
            "" => (context.model_type.as_str(), "model_type"),
            name => (name, "tokenizer_class"),
        };
        let known: Vec<&str> = CLASSES.iter().map(|class| class.name).collect();
        Error::unsupported(format!(
            "vocab.json and merges.txt: how '{name}' ({of}) cuts text is not known; known: {}",
            known.join(", ")
        ))
    })
}

fn merges(text: &str) -> Result<Vec<(String, String)>> {
    let lines = text.lines().enumerate();
    let merges = lines.filter(|(_, line)| !line.starts_with("#version"));
    let pair = |(at, line): (usize, &str)| match line.split(' ').collect::<Vec<_>>()[..] {
        [left, right] => Ok((left.to_string(), right.to_string())),
        _ => {
            let message = format!("merges.txt, line {}: expected two tokens", at + 1);
            Err(Error::corrupt(message))
        }
    };
    merges.map(pair).collect()
}

/// By id; ids that none has are reserved.
fn pieces(data: &[u8]) -> Result<Vec<String>> {
    let broken = |message: &dyn std::fmt::Display| Error::corrupt(format!("vocab.json: {message}"));
    let ids: AHashMap<String, u32> =
        serde_json::from_str(utf8("vocab.json", data)?).map_err(|error| broken(&error))?;
    let highest = ids.values().max().copied().unwrap_or(0);
    if highest >= MOST_TOKENS {
        return Err(broken(&format!("the id {highest} is out of range")));
    }
    let mut pieces = vec![
        String::new();
        if ids.is_empty() {
            0
        } else {
            highest as usize + 1
        }
    ];
    for (token, id) in &ids {
        pieces[*id as usize] = token.clone();
    }
    for (id, piece) in pieces.iter_mut().enumerate().filter(|(_, p)| p.is_empty()) {
        *piece = format!("<|reserved_token_{id}|>");
    }
    Ok(pieces)
}

pub fn read(data: &[u8], context: &mut Context) -> Result<Read> {
    let class = class(context)?;
    for name in ["unk_token", "eos_token"] {
        context.default_named(name, END);
    }
    match class.bos {
        true => context.default_named("bos_token", END),
        false => context.default_named("pad_token", END),
    }
    let pieces = pieces(data)?;
    let merges = match &context.merges {
        Some(text) => merges(text)?,
        None => return Err(Error::corrupt("merges.txt is missing beside vocab.json")),
    };
    let extended = context.with_added(pieces.clone())?;
    let vocabulary = (0u32..)
        .zip(&extended)
        .map(|(id, piece)| (piece.clone(), id));
    let model = BPE::builder()
        .vocab_and_merges(vocabulary.collect::<AHashMap<_, _>>(), merges)
        .build()
        .map_err(|error| Error::corrupt(format!("merges.txt: {error}")))?;
    let model = AnyModel::hugging_face(ModelWrapper::BPE(model), AHashMap::new());
    let mut parts = Parts::new(model, stages::byte_level());
    if class.nfc {
        parts.normalizer = json!({"type": "NFC"});
    }
    let pre = pre::find(class.pre).ok_or_else(|| Error::corrupt(class.pre))?;
    let mut byte_level = stages::byte_level();
    let spaced = context.add_prefix_space.unwrap_or(false);
    byte_level["add_prefix_space"] = spaced.into();
    // GPT-2 puts the space before the text, Qwen before each word.
    byte_level["use_regex"] = (class.pre == "gpt-2").into();
    let mut stages = match class.pre {
        "gpt-2" => Vec::new(),
        _ => stages::splits(pre.patterns),
    };
    stages.push(byte_level);
    parts.pre_tokenizer = stages::sequence_of_pre_tokenizers(stages);
    Ok(Read {
        parts,
        pieces,
        info: Info::default(),
        special: Vec::new(),
        user_defined: Vec::new(),
        adds_bos: false,
    })
}

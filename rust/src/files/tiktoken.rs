//! tiktoken's files: a line "base64 rank" for each token. How text is cut into words is not in the
//! file but in the code of its tokenizer, which the configuration names.

use serde_json::json;

use super::{utf8, Context, Read};
use crate::error::{Error, Result};
use crate::info::Info;
use crate::model::AnyModel;
use crate::pre;
use crate::rank_bpe::RankBpe;
use crate::stages::{self, Parts};

const KIMI: &str = "kimi-k2";
const MOST_RANKS: u32 = 1 << 22;

fn line(line: &str) -> Option<(Vec<u8>, u32)> {
    let (token, rank) = line.trim_end().split_once(' ')?;
    let token = base64::decode(token)
        .ok()
        .filter(|token| !token.is_empty())?;
    let rank = rank.parse().ok().filter(|rank| *rank < MOST_RANKS)?;
    Some((token, rank))
}

pub fn looks_like(data: &[u8]) -> bool {
    let first = data.split(|byte| *byte == b'\n').next().unwrap_or_default();
    std::str::from_utf8(first).is_ok_and(|first| line(first).is_some())
}

/// Which of the rules in `pre` the tokenizer's code applies.
fn rule(name: &str, context: &Context) -> &'static str {
    if name.ends_with(".tiktoken") {
        "qwen2" // QWenTokenizer
    } else if context.class == "TikTokenTokenizer" || context.model_type.starts_with("kimi") {
        KIMI
    } else {
        "llama-bpe" // transformers' TikTokenConverter
    }
}

pub fn read(name: &str, data: &[u8], context: &Context) -> Result<Read> {
    let lines = utf8(name, data)?.lines().enumerate();
    let ranked = lines
        .filter(|(_, text)| !text.is_empty())
        .map(|(at, text)| {
            let message = || format!("{name}, line {}: expected base64 and a rank", at + 1);
            line(text).ok_or_else(|| Error::corrupt(message()))
        });
    let ranked: Vec<(Vec<u8>, u32)> = ranked.collect::<Result<_>>()?;
    let mut pieces = RankBpe::pieces(&ranked);
    let base = pieces.len() as u32;
    if name.ends_with(".tiktoken") {
        let named = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"].map(str::to_string);
        pieces.extend(named);
        pieces.extend((0..205).map(|i| format!("<|extra_{i}|>")));
    }
    let rule = rule(name, context);
    if rule == KIMI {
        // Its code gives each of these a name, and its configuration other names.
        pieces.extend((base..base + 256).map(|id| format!("<|reserved_token_{id}|>")));
    }
    let special: Vec<u32> = (base..pieces.len() as u32).collect();
    let extended = context.with_added(pieces.clone())?;
    let model = RankBpe::new(name, ranked, 0, extended)?;
    let mut parts = Parts::new(AnyModel::RankBpe(model), stages::byte_level());
    let pattern = pre::find(rule).ok_or_else(|| Error::corrupt(name))?;
    if name.ends_with(".tiktoken") {
        parts.normalizer = json!({"type": "NFC"});
    }
    parts.pre_tokenizer = stages::sequence_of_pre_tokenizers(stages::splits(pattern.patterns));
    Ok(Read {
        parts,
        info: Info {
            eos: (name.ends_with(".tiktoken")).then_some(base),
            cuts_runs: rule == KIMI,
            ..Info::default()
        },
        pieces,
        special,
        user_defined: Vec::new(),
        adds_bos: false,
    })
}

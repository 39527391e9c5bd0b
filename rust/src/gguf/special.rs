//! Which tokens of a GGUF vocabulary are special and which end a generation. Files often do not
//! say, so that well-known texts decide, as in llama.cpp (`llama_vocab::impl::load`).

use ahash::AHashMap;

use crate::error::{Error, Result};
use crate::info::Info;

/// `tokenizer.ggml.token_type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenKind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Byte,
}

pub struct Kinds(Vec<TokenKind>);

impl Kinds {
    pub fn new(tokens: &[String], types: Option<&[i64]>) -> Result<Self> {
        let Some(types) = types else {
            return Ok(Self(vec![TokenKind::Normal; tokens.len()]));
        };
        if types.len() < tokens.len() {
            return Err(Error::corrupt(format!(
                "tokenizer.ggml.token_type holds {} numbers, tokenizer.ggml.tokens {} tokens",
                types.len(),
                tokens.len()
            )));
        }
        let kind = |number: &i64| match number {
            2 => TokenKind::Unknown,
            3 => TokenKind::Control,
            4 => TokenKind::UserDefined,
            6 => TokenKind::Byte,
            _ => TokenKind::Normal, // 1; 5 is "unused", 0 "undefined"
        };
        Ok(Self(types[..tokens.len()].iter().map(kind).collect()))
    }
    pub fn is(&self, id: usize, kind: TokenKind) -> bool {
        self.0[id] == kind
    }
    fn set(&mut self, id: u32, kind: TokenKind) {
        self.0[id as usize] = kind;
    }
}

const TURN_ENDS: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<｜end▁of▁sentence｜>",
    "<end_of_utterance>",
];
const GENERATION_ENDS: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
];
// Fill-in-the-middle: a model that writes one of these has left the text it was asked for. The
// first of each group that the vocabulary has.
const INFILL_ENDS: &[&[&str]] = &[
    &["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"],
    &[
        "<|fim_repo|>",
        "<|repo_name|>",
        "<fim-repo>",
        "<REPO>",
        "<reponame>",
    ],
    &["<|file_sep|>"],
];
// Harmony's structure is text to whoever parses it, even when special tokens are skipped.
const HARMONY_STRUCTURE: &[&str] = &["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"];

/// Fills `info.eot` if absent and `info.end_ids`; marks what it finds as control tokens.
pub fn find_ends(tokens: &[String], kinds: &mut Kinds, info: &mut Info, eom: Option<u32>) {
    let ids: AHashMap<&str, u32> = tokens
        .iter()
        .enumerate()
        .map(|(id, token)| (token.as_str(), id as u32))
        .collect();
    let find = |text: &&str| ids.get(text).copied();
    info.eot = info.eot.or_else(|| TURN_ENDS.iter().find_map(find));
    let mut found: Vec<u32> = GENERATION_ENDS.iter().filter_map(find).collect();
    found.extend(
        INFILL_ENDS
            .iter()
            .filter_map(|group| group.iter().find_map(find)),
    );
    found.extend(info.eot);
    for id in &found {
        kinds.set(*id, TokenKind::Control);
    }
    for id in HARMONY_STRUCTURE.iter().filter_map(find) {
        kinds.set(id, TokenKind::UserDefined);
    }
    found.extend(info.eos.into_iter().chain(eom));

    // Harmony and Solar end messages with <|end|>, turns with the others.
    let has = |text: &str| ids.contains_key(text);
    let calls = has("<|call|>") || has("<|calls|>");
    let mut drop = |text: &str, kind: TokenKind| {
        if let Some(id) = ids.get(text) {
            found.retain(|end| end != id);
            kinds.set(*id, kind);
        }
    };
    if calls && (has("<|return|>") || has("<|flush|>")) {
        drop("<|end|>", TokenKind::UserDefined);
    }
    // Gemma 4 and PaddleOCR have a plain "</s>".
    if has("<|tool_response>") {
        drop("</s>", TokenKind::Normal);
    }
    found.sort_unstable();
    found.dedup();
    info.end_ids = found;
}

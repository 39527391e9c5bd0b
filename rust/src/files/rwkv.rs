//! RWKV's `rwkv_vocab_v20230424.txt`: a line `id literal length` for each token, the literal Python's.
//! Id 0, which no line has, ends a text.

use super::python_literal;
use super::{utf8, Context, Read};
use crate::bytes::to_byte_level;
use crate::error::{Error, Result};
use crate::info::Info;
use crate::model::AnyModel;
use crate::rwkv::Rwkv;
use crate::stages::{self, Parts};
use crate::vocabulary::check_lengths;

const MOST_TOKENS: usize = 1 << 22;
const END: &str = "<|rwkv_tokenizer_end_of_text|>";

fn line(text: &str) -> Option<(usize, Vec<u8>)> {
    let (id, rest) = text.split_once(' ')?;
    let (literal, length) = rest.rsplit_once(' ')?;
    let bytes = python_literal::parse(literal)?;
    let length: usize = length.trim().parse().ok()?;
    (length == bytes.len()).then_some(())?;
    Some((id.parse().ok().filter(|id| *id < MOST_TOKENS)?, bytes))
}

pub fn read(data: &[u8], context: &Context) -> Result<Read> {
    let what = "the RWKV vocabulary";
    let mut entries: Vec<Vec<u8>> = Vec::new();
    // Python's lines end with "\n" alone.
    for (number, text) in utf8(what, data)?.split('\n').enumerate() {
        if text.trim().is_empty() {
            continue;
        }
        let (id, bytes) = line(text).ok_or_else(|| {
            let wanted = "expected an id, a Python literal and its length in bytes";
            Error::corrupt(format!("{what}, line {}: {wanted}", number + 1))
        })?;
        if entries.len() <= id {
            entries.resize(id + 1, Vec::new());
        }
        entries[id] = bytes;
    }
    let end = context.named("eos_token").or(context.named("bos_token"));
    let end_id = entries.first().is_none_or(Vec::is_empty).then_some(0u32);
    if end_id.is_some() {
        entries.resize(entries.len().max(1), Vec::new());
        entries[0] = end.unwrap_or(END).as_bytes().to_vec();
    }
    let listed: Vec<bool> = entries.iter().map(|bytes| !bytes.is_empty()).collect();
    for (id, bytes) in entries.iter_mut().enumerate().filter(|(_, b)| b.is_empty()) {
        *bytes = format!("<|reserved_token_{id}|>").into_bytes();
    }
    let pieces: Vec<String> = entries.iter().map(|bytes| to_byte_level(bytes)).collect();
    check_lengths(what, &pieces)?;
    let base = entries.len();
    let extended = context.with_added(pieces.clone())?;
    entries.extend(
        extended[base..]
            .iter()
            .map(|piece| piece.as_bytes().to_vec()),
    );
    let matched = |id: usize| listed.get(id) == Some(&true) && Some(id as u32) != end_id;
    let model = Rwkv::new(&entries, matched, end_id);
    Ok(Read {
        parts: Parts::new(AnyModel::Rwkv(model), stages::byte_level()),
        pieces,
        info: Info {
            bos: end_id,
            eos: end_id,
            pad: end_id,
            unknown: end_id,
            ..Info::default()
        },
        special: end_id.into_iter().collect(),
        user_defined: Vec::new(),
        adds_bos: false,
    })
}

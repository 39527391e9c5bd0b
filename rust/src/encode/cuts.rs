//! Where a text may be cut before it is normalised and searched for added tokens, such that its
//! parts give what the whole does: between two letters or digits that no added token and no
//! replaced string holds side by side, and that no normaliser combines.

use ahash::AHashSet;
use serde_json::Value;
use tokenizers::{NormalizedString, Normalizer, NormalizerWrapper};

use crate::error::{Error, Kind, Result};
use crate::model::Pipeline;

/// Letters and digits that begin a grapheme, follow no other in a composition, and stay as they are
/// in every normalisation form up to their own decomposition.
const PLAIN: [(char, char); 14] = [
    ('0', '9'),
    ('A', 'Z'),
    ('a', 'z'),
    ('À', 'Ö'),
    ('Ø', 'ö'),
    ('ø', 'ÿ'),
    ('Α', 'Ρ'),
    ('Σ', 'ω'),
    ('А', 'я'),
    ('א', 'ת'),
    ('ء', 'ي'),
    ('ก', 'ฮ'),
    ('一', '\u{9fff}'),
    ('가', '힣'),
];

pub struct Cuts {
    possible: bool,
    ascii_only: bool, // other characters may become those of a pair
    pairs: AHashSet<(char, char)>,
    prefix: String, // what the normaliser puts in front, normalised
}

/// What the normaliser's stages say.
#[derive(Default)]
struct Stages {
    possible: bool,
    maps: bool, // characters to others, beyond lower case and decomposition
    strips: bool,
    replaced: Vec<String>,
    prefix: Option<String>,
}

impl Stages {
    fn read(&mut self, stage: &Value, first: bool) {
        let text = |name: &str| stage.get(name).and_then(Value::as_str);
        match text("type").unwrap_or_default() {
            "Sequence" => {
                let stages = stage.get("normalizers").and_then(Value::as_array);
                for (at, stage) in stages.into_iter().flatten().enumerate() {
                    self.read(stage, first && at == 0);
                }
            }
            "NFC" | "NFD" | "NFKC" | "NFKD" | "Lowercase" | "StripAccents" | "Nmt"
            | "BertNormalizer" => {}
            "Strip" => self.strips = true,
            "Precompiled" | "ByteLevel" => self.maps = true,
            "Replace" => match stage.pointer("/pattern/String").and_then(Value::as_str) {
                Some(pattern) => self.replaced.push(pattern.to_string()),
                None => self.possible = false, // an expression may look anywhere
            },
            "Prepend" if first => self.prefix = text("prepend").map(str::to_string),
            _ => self.possible = false,
        }
    }
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::new(Kind::Internal, error.to_string())
}

/// `normalizer` without the stage that prepends, over the text it prepends.
fn normalized_prefix(normalizer: &Value, prefix: &str) -> Result<String> {
    let stages = normalizer.get("normalizers").and_then(Value::as_array);
    let mut text = NormalizedString::from(prefix);
    for stage in stages.into_iter().flatten().skip(1) {
        let stage = serde_json::from_value::<NormalizerWrapper>(stage.clone());
        let normalized = stage.map_err(internal)?.normalize(&mut text);
        normalized.map_err(internal)?;
    }
    Ok(text.get().to_string())
}

fn pairs_of(text: &str) -> impl Iterator<Item = (char, char)> + '_ {
    text.chars().zip(text.chars().skip(1))
}

impl Cuts {
    pub fn new(pipeline: &Pipeline) -> Result<Self> {
        let normalizer = serde_json::to_value(pipeline.get_normalizer()).map_err(internal)?;
        let mut stages = Stages {
            possible: true,
            ..Stages::default()
        };
        if !normalizer.is_null() {
            stages.read(&normalizer, true);
        }
        let added = pipeline
            .get_added_vocabulary()
            .get_added_tokens_decoder()
            .values();
        let mut pairs: AHashSet<(char, char)> = AHashSet::new();
        let (mut single_word, mut normalized) = (false, false);
        for token in added {
            single_word |= token.single_word;
            normalized |= token.normalized && !normalizer.is_null();
            pairs.extend(pairs_of(&token.content));
            pairs.extend(pairs_of(&token.content.to_lowercase()));
        }
        for pattern in &stages.replaced {
            pairs.extend(pairs_of(pattern));
        }
        let mut letters = stages.replaced.iter().flat_map(|pattern| pattern.chars());
        let replaces_letters = letters.any(|c| c.is_alphanumeric());
        // An added token is then found in text that is not what stands at the cut.
        let hidden = normalized && (stages.maps || stages.prefix.is_some());
        let prefix = match &stages.prefix {
            None => String::new(),
            Some(prefix) => normalized_prefix(&normalizer, prefix)?,
        };
        let plain_prefix = matches!(stages.prefix.as_deref(), None | Some("▁" | " "));
        let prefixed = stages.prefix.is_some();
        Ok(Self {
            possible: stages.possible
                && !single_word
                && !replaces_letters
                && !hidden
                && plain_prefix
                && !(prefixed && (stages.strips || stages.maps)),
            ascii_only: normalized,
            pairs,
            prefix,
        })
    }

    fn is_plain(&self, c: char) -> bool {
        if self.ascii_only || c.is_ascii() {
            return c.is_ascii_alphanumeric();
        }
        PLAIN.iter().any(|(from, to)| (*from..=*to).contains(&c))
    }

    fn is_safe(&self, before: char, after: char) -> bool {
        let lower = (before.to_ascii_lowercase(), after.to_ascii_lowercase());
        self.is_plain(before)
            && self.is_plain(after)
            && !self.pairs.contains(&(before, after))
            && !self.pairs.contains(&lower)
    }

    /// The end of the slice that begins at `start`: of `size` bytes at least, or the text's end.
    pub fn next(&self, text: &str, start: usize, size: usize) -> usize {
        let mut at = start.saturating_add(size);
        if !self.possible || at >= text.len() {
            return text.len();
        }
        while !text.is_char_boundary(at) {
            at += 1;
        }
        let mut before = None;
        for (offset, c) in text[at..].char_indices() {
            if before.is_some_and(|before| self.is_safe(before, c)) {
                return at + offset;
            }
            before = Some(c);
        }
        text.len()
    }

    /// The start of a slice that continues a stretch, without what was put in front of it.
    pub fn without_prefix<'a>(&self, text: &'a str) -> &'a str {
        text.strip_prefix(self.prefix.as_str()).unwrap_or(text)
    }
}

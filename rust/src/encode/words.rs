//! Pre-tokenisation, one word at a time. Each of its stages cuts every stretch on its own, so a
//! word may go through all of them before the next is looked for.

use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, PreTokenizerWrapper,
    SplitDelimiterBehavior,
};

use super::internal;
use crate::bytes::to_byte_level;
use crate::error::Result;
use crate::pre;

enum Stage {
    /// Matches, and what is between them.
    Matches(Split),
    SpaceInFront,
    ByteLevel,
    Metaspace(Metaspace),
    /// Any other, on a word at a time.
    Other(PreTokenizerWrapper),
}

pub struct Words(Vec<Stage>);

type Push<'a> = &'a mut dyn FnMut(&str) -> Result<()>;

impl Words {
    /// None: a stage depends on where in the text a stretch stands, and another comes before it.
    pub fn new(pre_tokenizer: Option<&PreTokenizerWrapper>) -> Option<Self> {
        let mut stages = Vec::new();
        if let Some(stage) = pre_tokenizer {
            Self::read(stage, &mut stages)?;
        }
        Some(Self(stages))
    }

    fn read(stage: &PreTokenizerWrapper, stages: &mut Vec<Stage>) -> Option<()> {
        match stage {
            PreTokenizerWrapper::Sequence(sequence) => {
                for stage in sequence.as_ref() {
                    Self::read(stage, stages)?;
                }
            }
            PreTokenizerWrapper::Split(split)
                if split.behavior == SplitDelimiterBehavior::Isolated && !split.invert =>
            {
                stages.push(Stage::Matches(split.clone()));
            }
            PreTokenizerWrapper::ByteLevel(ByteLevel {
                add_prefix_space,
                use_regex,
                ..
            }) => {
                if *add_prefix_space {
                    stages.push(Stage::SpaceInFront);
                }
                if *use_regex {
                    let pattern = SplitPattern::Regex(pre::GPT2.to_string());
                    let split =
                        Split::new(pattern, SplitDelimiterBehavior::Isolated, false).ok()?;
                    stages.push(Stage::Matches(split));
                }
                stages.push(Stage::ByteLevel);
            }
            PreTokenizerWrapper::Metaspace(metaspace) => {
                if metaspace.prepend_scheme == PrependScheme::First && !stages.is_empty() {
                    return None;
                }
                stages.push(Stage::Metaspace(metaspace.clone()));
            }
            other => stages.push(Stage::Other(other.clone())),
        }
        Some(())
    }

    /// The words of one stretch; `first`: the text begins with it.
    pub fn each(&self, stretch: &str, first: bool, push: Push) -> Result<()> {
        run(&self.0, stretch, first, push)
    }
}

fn run(stages: &[Stage], text: &str, first: bool, push: Push) -> Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let Some((stage, rest)) = stages.split_first() else {
        return push(text);
    };
    match stage {
        Stage::Matches(split) => {
            let mut from = 0;
            for (start, end) in split.regex.find_iter(text) {
                run(rest, &text[from..start], first, push)?;
                run(rest, &text[start..end], first, push)?;
                from = end;
            }
            run(rest, &text[from..], first, push)
        }
        Stage::SpaceInFront if text.starts_with(' ') => run(rest, text, first, push),
        Stage::SpaceInFront => run(rest, &format!(" {text}"), first, push),
        Stage::ByteLevel => run(rest, &to_byte_level(text.as_bytes()), first, push),
        Stage::Metaspace(metaspace) => {
            let mark = metaspace.get_replacement();
            let mut text = text.replace(' ', mark.encode_utf8(&mut [0; 4]));
            let prepends = match metaspace.prepend_scheme {
                PrependScheme::Always => true,
                PrependScheme::First => first,
                PrependScheme::Never => false,
            };
            if prepends && !text.starts_with(mark) {
                text.insert(0, mark);
            }
            if !metaspace.split {
                return run(rest, &text, first, push);
            }
            let mut from = 0;
            for (at, _) in text.match_indices(mark).filter(|(at, _)| *at > 0) {
                run(rest, &text[from..at], first, push)?;
                from = at;
            }
            run(rest, &text[from..], first, push)
        }
        Stage::Other(stage) => {
            let mut words = PreTokenizedString::from(text);
            stage.pre_tokenize(&mut words).map_err(internal)?;
            for (word, _, _) in words.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
                run(rest, word, first, push)?;
            }
            Ok(())
        }
    }
}

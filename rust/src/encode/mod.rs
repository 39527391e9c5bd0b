//! What `TokenizerImpl::encode` does, in steps that can be interrupted, and exactly: a text is cut
//! where its normaliser and added tokens provably look across nothing (`cuts`), its stretches into
//! words by one match after the other (`words`), and a long word where no merge can cross
//! (`long_words`). Ids alone are kept, no positions.

use ahash::AHashMap;
use tokenizers::{Encoding, Model, OffsetReferential, OffsetType};

use crate::error::{Error, Kind, Result};
use crate::interrupt;
use crate::model::Pipeline;

mod cuts;
pub mod long_words;
mod runs;
#[cfg(test)]
mod tests;
mod words;

use cuts::Cuts;
use words::Words;

/// Bytes of text that are normalised at once, where it can be cut.
const SLICE: usize = 1 << 15;
/// Stands for the text among what is put around it.
const TEXT: u32 = u32::MAX;

pub struct Encoder {
    cuts: Cuts,
    words: Option<Words>, // None: stages that only the whole pipeline can run
    around: Vec<u32>,     // TEXT and what is put around it
    cuts_runs: bool,
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::new(Kind::Internal, error.to_string())
}

/// An error, unless it was the work's end that was asked for.
fn interrupted_or(error: impl std::fmt::Display) -> Error {
    interrupt::check().err().unwrap_or_else(|| internal(error))
}

/// The text between two added tokens, as far as it is known.
#[derive(Default)]
struct Stretch {
    text: String,
    first: bool, // begins with the text itself
    open: bool,
}

impl Encoder {
    /// `cuts_runs`: see `Info`.
    pub fn new(pipeline: &Pipeline, cuts_runs: bool) -> Result<Self> {
        let one = Encoding::new(
            vec![TEXT],
            vec![0],
            vec![String::new()],
            vec![None],
            vec![(0, 0)],
            vec![0],
            vec![1],
            vec![],
            AHashMap::new(),
        );
        let around = pipeline.post_process(one, None, true).map_err(internal)?;
        Ok(Self {
            cuts: Cuts::new(pipeline)?,
            words: Words::new(pipeline.get_pre_tokenizer()),
            around: around.get_ids().to_vec(),
            cuts_runs,
        })
    }

    /// What is put before a text and behind it.
    pub fn around(&self) -> (&[u32], &[u32]) {
        let at = self.around.iter().position(|id| *id == TEXT);
        let at = at.unwrap_or(self.around.len());
        let behind = self.around.get(at + 1..).unwrap_or_default();
        (&self.around[..at], behind)
    }

    pub fn encode(&self, pipeline: &Pipeline, text: &str, add_special: bool) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        if self.cuts_runs {
            for part in runs::parts(text) {
                ids.extend(self.bare(pipeline, part)?);
            }
        } else {
            ids = self.bare(pipeline, text)?;
        }
        if !add_special {
            return Ok(ids);
        }
        let (before, behind) = self.around();
        Ok([before, &ids, behind].concat())
    }

    fn bare(&self, pipeline: &Pipeline, text: &str) -> Result<Vec<u32>> {
        let ids = match &self.words {
            Some(words) => self.sliced(pipeline, words, text, SLICE)?,
            None => {
                let whole = pipeline.encode_fast(text, false);
                whole.map_err(interrupted_or)?.get_ids().to_vec()
            }
        };
        interrupt::check()?;
        Ok(ids)
    }

    fn sliced(
        &self,
        pipeline: &Pipeline,
        words: &Words,
        text: &str,
        slice: usize,
    ) -> Result<Vec<u32>> {
        let (mut ids, mut stretch, mut start) = (Vec::new(), Stretch::default(), 0);
        let mut nothing_yet = true;
        let end_stretch = |stretch: &mut Stretch, ids: &mut Vec<u32>| -> Result<()> {
            let mut push = |word: &str| {
                interrupt::tick(word.len());
                interrupt::check()?;
                let tokens = pipeline.get_model().tokenize(word);
                ids.extend(tokens.map_err(interrupted_or)?.iter().map(|token| token.id));
                Ok(())
            };
            words.each(&stretch.text, stretch.first, &mut push)?;
            *stretch = Stretch::default();
            Ok(())
        };
        while start < text.len() {
            let end = self.cuts.next(text, start, slice);
            interrupt::tick(end - start);
            interrupt::check()?;
            let added = pipeline.get_added_vocabulary();
            let part = added.extract_and_normalize(pipeline.get_normalizer(), &text[start..end]);
            let splits = part.get_splits(OffsetReferential::Original, OffsetType::Byte);
            for (text, (at, _), token) in splits {
                if let Some(token) = token {
                    end_stretch(&mut stretch, &mut ids)?;
                    ids.extend(token.iter().map(|token| token.id));
                } else if stretch.open {
                    // Only the first part of a slice follows text.
                    stretch.text += self.cuts.without_prefix(text);
                } else {
                    let first = nothing_yet && at == 0;
                    stretch = Stretch {
                        text: text.to_string(),
                        first,
                        open: true,
                    };
                }
                nothing_yet = false;
            }
            start = end;
        }
        end_stretch(&mut stretch, &mut ids)?;
        Ok(ids)
    }
}

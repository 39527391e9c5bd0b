//! What a caller should know of a tokenizer besides its ids.

use serde::Serialize;

/// Absent ids are null.
#[derive(Serialize, Default, Clone, Debug)]
pub struct Info {
    /// Highest id + 1, added tokens included.
    pub vocab_size: u32,
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    pub eot: Option<u32>,
    pub pad: Option<u32>,
    pub unknown: Option<u32>,
    /// Ids that end a generation, as far as the tokenizer alone says. Sorted.
    pub end_ids: Vec<u32>,
    /// First and last ids `encode` adds around the text when asked to add special tokens.
    pub prefix: Vec<u32>,
    pub suffix: Vec<u32>,
    /// The chat template of a kind of file whose models were all trained with one; mostly none.
    pub chat_template: Option<String>,
    /// Texts are cut as `encode::runs` says before anything else.
    #[serde(skip)]
    pub cuts_runs: bool,
    /// What is odd about the files but does not stop them from being read.
    pub warnings: Vec<String>,
}

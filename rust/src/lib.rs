//! Tokenizers (Hugging Face `tokenizers`, and the algorithms of other files) and chat templates
//! (`minijinja`) behind the C ABI of `include/continuo_text.h`.

mod bounded;
mod bytes;
mod encode;
mod error;
mod ffi;
mod files;
mod gguf;
mod info;
mod interrupt;
mod merge;
mod model;
mod plamo;
mod pre;
mod python;
mod rank_bpe;
mod rwkv;
mod sentencepiece;
mod spm;
mod stages;
mod stream;
mod template;
mod tokenizer;
mod vocabulary;

pub use error::{Error, Kind, Result};
pub use info::Info;
pub use stream::StreamDecoder;
pub use template::{ChatTemplate, Render};
pub use tokenizer::TextTokenizer;

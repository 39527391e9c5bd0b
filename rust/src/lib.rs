//! Tokenizers (Hugging Face `tokenizers`, and the algorithms GGUF files embed) and chat templates
//! (`minijinja`) behind the C ABI of `include/continuo_text.h`.

mod bounded;
mod bytes;
mod error;
mod ffi;
mod gguf;
mod model;
mod plamo;
mod pre;
mod python;
mod rwkv;
mod spm;
mod stream;
mod template;
mod tokenizer;

pub use error::{Error, Kind, Result};
pub use stream::StreamDecoder;
pub use template::{ChatTemplate, Render};
pub use tokenizer::{Info, TextTokenizer};

//! The C ABI; include/continuo_text.h says what each function promises. Every entry catches
//! panics, and every pointer comes from the C++ face, which upholds the header's contract.
#![allow(clippy::missing_safety_doc)]

use std::ffi::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

use crate::interrupt;
use crate::{ChatTemplate, Error, Kind, Render, Result, StreamDecoder, TextTokenizer};

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Slice {
    data: *const u8,
    size: usize,
}

#[repr(C)]
pub struct Buffer {
    data: *mut u8,
    size: usize,
}

#[repr(C)]
pub struct Ids {
    data: *mut u32,
    size: usize,
}

pub struct TokenizerHandle(Arc<TextTokenizer>);

impl Slice {
    unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.data.is_null() || self.size == 0 {
            return &[];
        }
        std::slice::from_raw_parts(self.data, self.size)
    }
    unsafe fn text<'a>(self, what: &str) -> Result<&'a str> {
        std::str::from_utf8(self.bytes())
            .map_err(|error| Error::invalid(format!("{what} is not valid UTF-8: {error}")))
    }
}

unsafe fn slice_of<'a>(ids: *const u32, count: usize) -> &'a [u32] {
    if ids.is_null() || count == 0 {
        return &[];
    }
    std::slice::from_raw_parts(ids, count)
}

unsafe fn put_bytes(out: *mut Buffer, bytes: Vec<u8>) {
    let size = bytes.len();
    let data = Box::into_raw(bytes.into_boxed_slice()).cast();
    out.write(Buffer { data, size });
}

/// Runs `body`; its error, or a panic, becomes a status and a message.
unsafe fn guard(error: *mut Buffer, body: impl FnOnce() -> Result<()>) -> i32 {
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return 0,
        Ok(Err(failure)) => failure,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("unknown");
            Error::new(Kind::Internal, format!("panic in the text library: {text}"))
        }
    };
    put_bytes(error, failure.message.into_bytes());
    failure.kind as i32
}

#[no_mangle]
pub unsafe extern "C" fn continuo_buffer_free(buffer: Buffer) {
    if !buffer.data.is_null() {
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(
            buffer.data,
            buffer.size,
        )));
    }
}

#[no_mangle]
pub unsafe extern "C" fn continuo_ids_free(ids: Ids) {
    if !ids.data.is_null() {
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(
            ids.data, ids.size,
        )));
    }
}

#[no_mangle]
pub unsafe extern "C" fn continuo_tokenizer_from_json(
    json: Slice,
    context: Slice,
    out: *mut *mut TokenizerHandle,
    error: *mut Buffer,
) -> i32 {
    guard(error, || {
        let (json, context) = (
            json.text("tokenizer.json")?,
            context.text("tokenizer context")?,
        );
        let tokenizer = TextTokenizer::from_json(json, context)?;
        *out = Box::into_raw(Box::new(TokenizerHandle(Arc::new(tokenizer))));
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn continuo_tokenizer_from_gguf(
    metadata: Slice,
    out: *mut *mut TokenizerHandle,
    error: *mut Buffer,
) -> i32 {
    guard(error, || {
        let tokenizer = TextTokenizer::from_gguf(metadata.text("GGUF metadata")?)?;
        *out = Box::into_raw(Box::new(TokenizerHandle(Arc::new(tokenizer))));
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn continuo_tokenizer_from_file(
    name: Slice,
    data: Slice,
    context: Slice,
    out: *mut *mut TokenizerHandle,
    error: *mut Buffer,
) -> i32 {
    guard(error, || {
        let (name, context) = (name.text("file name")?, context.text("tokenizer context")?);
        let tokenizer = TextTokenizer::from_file(name, data.bytes(), context)?;
        *out = Box::into_raw(Box::new(TokenizerHandle(Arc::new(tokenizer))));
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn continuo_tokenizer_free(tokenizer: *mut TokenizerHandle) {
    if !tokenizer.is_null() {
        drop(Box::from_raw(tokenizer));
    }
}

#[no_mangle]
pub unsafe extern "C" fn continuo_tokenizer_info(
    tokenizer: *const TokenizerHandle,
    out: *mut Buffer,
    error: *mut Buffer,
) -> i32 {
    guard(error, || {
        let json = serde_json::to_vec((*tokenizer).0.info())
            .map_err(|error| Error::new(Kind::Internal, error.to_string()))?;
        put_bytes(out, json);
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn continuo_tokenizer_encode(
    tokenizer: *const TokenizerHandle,
    text: Slice,
    add_special: bool,
    parse_special: bool,
    stop: Option<extern "C" fn(*mut c_void) -> bool>,
    context: *mut c_void,
    out: *mut Ids,
    error: *mut Buffer,
) -> i32 {
    guard(error, || {
        // What is no UTF-8 has no meaning to a tokenizer: U+FFFD stands in.
        let text = String::from_utf8_lossy(text.bytes());
        let encode = || (*tokenizer).0.encode(&text, add_special, parse_special);
        let ids = match stop {
            None => encode(),
            Some(stop) => interrupt::scope(&|| stop(context), encode),
        };
        let ids = ids?.into_boxed_slice();
        let size = ids.len();
        out.write(Ids {
            data: Box::into_raw(ids).cast(),
            size,
        });
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn continuo_tokenizer_decode(
    tokenizer: *const TokenizerHandle,
    ids: *const u32,
    count: usize,
    skip_special: bool,
    out: *mut Buffer,
    error: *mut Buffer,
) -> i32 {
    guard(error, || {
        let text = (*tokenizer).0.decode(slice_of(ids, count), skip_special)?;
        put_bytes(out, text.into_bytes());
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn continuo_tokenizer_token(
    tokenizer: *const TokenizerHandle,
    id: u32,
    as_bytes: bool,
    found: *mut bool,
    out: *mut Buffer,
    error: *mut Buffer,
) -> i32 {
    guard(error, || {
        let tokenizer = &(*tokenizer).0;
        let token = match as_bytes {
            true => tokenizer.token_bytes(id),
            false => tokenizer.token(id).map(String::into_bytes),
        };
        *found = token.is_some();
        put_bytes(out, token.unwrap_or_default());
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn continuo_tokenizer_id(
    tokenizer: *const TokenizerHandle,
    token: Slice,
    found: *mut bool,
    id: *mut u32,
    error: *mut Buffer,
) -> i32 {
    guard(error, || {
        let known = std::str::from_utf8(token.bytes()).ok();
        let known = known.and_then(|token| (*tokenizer).0.id(token));
        *found = known.is_some();
        *id = known.unwrap_or(0);
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn continuo_tokenizer_is_special(
    tokenizer: *const TokenizerHandle,
    id: u32,
) -> bool {
    catch_unwind(AssertUnwindSafe(|| (*tokenizer).0.is_special(id))).unwrap_or(false)
}

#[no_mangle]
pub unsafe extern "C" fn continuo_stream_new(
    tokenizer: *const TokenizerHandle,
    skip_special: bool,
    out: *mut *mut StreamDecoder,
    error: *mut Buffer,
) -> i32 {
    guard(error, || {
        let stream = StreamDecoder::new(Arc::clone(&(*tokenizer).0), skip_special);
        *out = Box::into_raw(Box::new(stream));
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn continuo_stream_push(
    stream: *mut StreamDecoder,
    id: u32,
    out: *mut Buffer,
    error: *mut Buffer,
) -> i32 {
    guard(error, || {
        put_bytes(out, (*stream).push(id)?.into_bytes());
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn continuo_stream_flush(
    stream: *mut StreamDecoder,
    out: *mut Buffer,
    error: *mut Buffer,
) -> i32 {
    guard(error, || {
        put_bytes(out, (*stream).flush()?.into_bytes());
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn continuo_stream_free(stream: *mut StreamDecoder) {
    if !stream.is_null() {
        drop(Box::from_raw(stream));
    }
}

#[no_mangle]
pub unsafe extern "C" fn continuo_template_new(
    source: Slice,
    out: *mut *mut ChatTemplate,
    error: *mut Buffer,
) -> i32 {
    guard(error, || {
        let template = ChatTemplate::new(source.text("chat template")?)?;
        *out = Box::into_raw(Box::new(template));
        Ok(())
    })
}

#[no_mangle]
pub extern "C" fn continuo_template_limits(memory: u64, milliseconds: u64) {
    crate::bounded::set_limits(memory, milliseconds);
}

#[repr(C)]
pub struct RenderInput {
    messages: Slice,
    tools: Slice,
    variables: Slice,
    now: *const i64,
    add_generation_prompt: bool,
}

#[no_mangle]
pub unsafe extern "C" fn continuo_template_render(
    template: *const ChatTemplate,
    input: *const RenderInput,
    out: *mut Buffer,
    error: *mut Buffer,
) -> i32 {
    guard(error, || {
        let input = &*input;
        let text = (*template).render(&Render {
            messages: input.messages.text("messages")?,
            tools: input.tools.text("tools")?,
            variables: input.variables.text("template variables")?,
            add_generation_prompt: input.add_generation_prompt,
            now: input.now.as_ref().copied(),
        })?;
        put_bytes(out, text.into_bytes());
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn continuo_template_free(template: *mut ChatTemplate) {
    if !template.is_null() {
        drop(Box::from_raw(template));
    }
}

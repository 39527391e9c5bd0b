//! Chat templates with the semantics of transformers' `apply_chat_template`: Jinja with
//! `trim_blocks`, `lstrip_blocks` and loop controls, `raise_exception`, `strftime_now`, its
//! `tojson`, and Python's methods and way of printing.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use chrono::{DateTime, Local, TimeZone, Utc};
use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Environment, ErrorKind, Value};

use crate::bounded::{self, Stopped};
use crate::error::{Error, Kind, Result};
use crate::python::{self, JsonOptions};

mod methods;

// A template is a program out of a downloaded file: it gets a bounded number of steps and bytes.
const STEPS: u64 = 10_000_000;
const OUTPUT_BYTES: usize = 64 << 20;
const NAME: &str = "chat_template";

pub struct ChatTemplate {
    environment: Arc<Environment<'static>>,
    stopped: AtomicBool, // it has exceeded its bounds once: that must not happen again
}

/// What a template is rendered with; all but `now` JSON text.
#[derive(Default)]
pub struct Render<'a> {
    pub messages: &'a str,
    /// An array, or empty for none.
    pub tools: &'a str,
    /// An object of further variables (`bos_token`, `enable_thinking`, ...), or empty.
    pub variables: &'a str,
    pub add_generation_prompt: bool,
    /// Seconds since 1970, read as UTC; None: the local clock.
    pub now: Option<i64>,
}

/// Set apart, so that a template's own complaint reaches the user as it was written.
#[derive(Debug)]
struct Raised(String);

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Raised {}

fn environment(source: &str) -> Result<Environment<'static>> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_fuel(Some(STEPS));
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_unknown_method_callback(methods::call);
    environment.set_formatter(|out, _, value| Ok(out.write_str(&python::str_of(value)?)?));
    environment.add_filter("tojson", to_json);
    environment.add_filter("string", |value: &Value| python::str_of(value));
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("joiner", minijinja_contrib::globals::joiner);
    environment
        .add_template_owned(NAME, without_generation_tags(source))
        .map_err(|error| Error::corrupt(describe(&error)))?;
    Ok(environment)
}

fn rendered(environment: &Environment, context: Value) -> Result<String> {
    let template = environment.get_template(NAME);
    let template = template.map_err(|error| Error::corrupt(describe(&error)))?;
    let mut out = Bounded(Vec::new());
    match template.render_captured_to(context, &mut out) {
        Ok(_) => String::from_utf8(out.0).map_err(|error| Error::corrupt(error.to_string())),
        Err(error) => Err(Error::invalid(describe(&error))),
    }
}

/// Runs a part of the template's life; `size` is that of what it is given.
fn within_bounds<T: Send + 'static>(
    size: usize,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> (Result<T>, bool) {
    let (kind, message) = match bounded::run(size.saturating_mul(16), work) {
        Ok(Ok(result)) => return (result, false),
        Ok(Err(_)) => (Kind::Internal, "panic in the template engine"),
        Err(Stopped::NoThread) => (Kind::Internal, "no thread could be started for it"),
        Err(Stopped::Memory) => (
            Kind::Unsupported,
            "it takes more memory than a template may",
        ),
        Err(Stopped::Time) => (Kind::Unsupported, "it takes more time than a template may"),
    };
    let stopped = kind == Kind::Unsupported;
    (
        Err(Error::new(kind, format!("chat template: {message}"))),
        stopped,
    )
}

impl ChatTemplate {
    pub fn new(source: &str) -> Result<Self> {
        let source = source.to_string();
        let (environment, _) = within_bounds(source.len(), move || environment(&source));
        Ok(Self {
            environment: Arc::new(environment?),
            stopped: AtomicBool::new(false),
        })
    }

    pub fn render(&self, input: &Render) -> Result<String> {
        if self.stopped.load(Ordering::Relaxed) {
            let message = "chat template: refused, since it exceeded its bounds before";
            return Err(Error::unsupported(message));
        }
        let context = context(input)?;
        let size = input.messages.len() + input.tools.len() + input.variables.len();
        let environment = Arc::clone(&self.environment);
        let (text, stopped) = within_bounds(size, move || rendered(&environment, context));
        self.stopped.fetch_or(stopped, Ordering::Relaxed);
        text
    }
}

/// A sink that refuses to grow without end.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT_BYTES {
            return Err(std::io::Error::other(
                "the template writes more than 64 MiB",
            ));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn describe(error: &minijinja::Error) -> String {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(at) = source {
        if let Some(Raised(message)) = at.downcast_ref::<Raised>() {
            return message.clone();
        }
        source = at.source();
    }
    format!("chat template: {error}")
}

fn context(input: &Render) -> Result<Value> {
    let parse = |what: &str, text: &str, empty: &str| -> Result<Value> {
        let text = if text.trim().is_empty() { empty } else { text };
        let value: serde_json::Value = serde_json::from_str(text)
            .map_err(|error| Error::invalid(format!("{what}: {error}")))?;
        Ok(Value::from_serialize(value))
    };
    let messages = parse("messages", input.messages, "[]")?;
    if messages.kind() != ValueKind::Seq {
        return Err(Error::invalid(format!(
            "messages: wanted an array, got {}",
            messages.kind()
        )));
    }
    let variables = parse("template variables", input.variables, "{}")?;
    if variables.kind() != ValueKind::Map {
        let kind = variables.kind();
        return Err(Error::invalid(format!(
            "template variables: wanted an object, got {kind}"
        )));
    }
    let now = match input.now {
        None => None,
        Some(seconds) => match Utc.timestamp_opt(seconds, 0).single() {
            Some(time) => Some(time),
            None => return Err(Error::invalid(format!("no such time: {seconds} s"))),
        },
    };
    let strftime_now = move |format: &str| strftime(now, format);
    let own = minijinja::context! {
        messages,
        tools => parse("tools", input.tools, "null")?,
        documents => (),
        add_generation_prompt => input.add_generation_prompt,
        strftime_now => Value::from_function(strftime_now),
    };
    Ok(minijinja::context! { ..own, ..variables })
}

fn strftime(
    now: Option<DateTime<Utc>>,
    format: &str,
) -> std::result::Result<String, minijinja::Error> {
    let mut out = String::new();
    let written = match now {
        Some(time) => write!(out, "{}", time.format(format)),
        None => write!(out, "{}", Local::now().format(format)),
    };
    written.map(|()| out).map_err(|_| {
        let message = format!("strftime_now: '{format}' is not a valid format");
        minijinja::Error::new(ErrorKind::InvalidOperation, message)
    })
}

fn raise_exception(message: String) -> std::result::Result<Value, minijinja::Error> {
    let error = minijinja::Error::new(ErrorKind::InvalidOperation, message.clone());
    Err(error.with_source(Raised(message)))
}

// tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False), as in transformers.
fn to_json(
    value: &Value,
    positional: Rest<Value>,
    named: Kwargs,
) -> std::result::Result<String, minijinja::Error> {
    let argument = |index: usize, name: &str| -> std::result::Result<Value, minijinja::Error> {
        let given = named.get::<Option<Value>>(name)?;
        Ok(given
            .or_else(|| positional.get(index).cloned())
            .unwrap_or(Value::from(())))
    };
    let indent = match argument(1, "indent")? {
        none if none.is_none() => None,
        number => Some(usize::try_from(number)?.min(64)),
    };
    let separators = match argument(2, "separators")? {
        none if none.is_none() => None,
        pair => {
            let part = |i| Ok::<_, minijinja::Error>(pair.get_item_by_index(i)?.to_string());
            Some((part(0)?, part(1)?))
        }
    };
    let options = JsonOptions {
        indent,
        separators,
        ensure_ascii: argument(0, "ensure_ascii")?.is_true(),
        sort_keys: argument(3, "sort_keys")?.is_true(),
    };
    named.assert_all_used()?;
    python::json(value, &options)
}

/// transformers' `{% generation %}` marks the assistant's text for training; it renders its body.
fn without_generation_tags(source: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(source.len()), source);
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        out.push_str(before);
        let Some(length) = tag[2..].find("%}").map(|at| at + 4) else {
            rest = tag;
            break;
        };
        let mark = |c: char| c == '-' || c == '+';
        let inner = &tag[2..length - 2];
        let left = &inner[..usize::from(inner.starts_with(mark))];
        let right =
            &inner[inner.len() - usize::from(inner.len() > left.len() && inner.ends_with(mark))..];
        let name = inner[left.len()..inner.len() - right.len()].trim();
        match name {
            "generation" => {
                let _ = write!(out, "{{%{left} if true {right}%}}");
            }
            "endgeneration" => {
                let _ = write!(out, "{{%{left} endif {right}%}}");
            }
            _ => out.push_str(&tag[..length]),
        }
        rest = &tag[length..];
    }
    out + rest
}

#[cfg(test)]
mod tests;

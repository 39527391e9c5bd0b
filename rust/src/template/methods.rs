//! Python methods that templates call and minijinja-contrib's `pycompat` lacks or does otherwise.

use minijinja::value::{from_args, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

pub fn call(state: &State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let own = match (value.kind(), value.as_str()) {
        (_, Some(text)) => string_method(text, method, args)?,
        (ValueKind::Seq, _) if method == "index" => Some(list_index(value, args)?),
        (ValueKind::Seq | ValueKind::Map, _) if method == "copy" => Some(value.clone()),
        _ => None,
    };
    match own {
        Some(result) => Ok(result),
        None => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn string_method(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let one = || from_args::<(&str,)>(args).map(|(argument,)| argument);
    Ok(Some(match method {
        "removeprefix" => Value::from(text.strip_prefix(one()?).unwrap_or(text)),
        "removesuffix" => Value::from(text.strip_suffix(one()?).unwrap_or(text)),
        "partition" | "rpartition" => partition(text, one()?, method == "rpartition")?,
        "rsplit" => {
            let (separator, most) = from_args::<(Option<&str>, Option<i64>)>(args)?;
            rsplit(text, separator, most)
        }
        "index" | "rindex" => {
            let wanted = one()?;
            let at = if method == "index" {
                text.find(wanted)
            } else {
                text.rfind(wanted)
            };
            character_index(text, at).ok_or_else(|| value_error("substring not found"))?
        }
        // pycompat counts bytes here, Python characters.
        "find" => character_index(text, text.find(one()?)).unwrap_or(Value::from(-1)),
        "rfind" => character_index(text, text.rfind(one()?)).unwrap_or(Value::from(-1)),
        "title" => Value::from(title(text)),
        "casefold" => Value::from(text.to_lowercase()),
        "ljust" | "rjust" | "zfill" => pad(text, method, args)?,
        // Python says False of the empty string.
        "isspace" | "isdigit" | "isnumeric" | "isalnum" | "isalpha" if text.is_empty() => {
            Value::from(false)
        }
        // Needs a letter, and none of the other case; other characters do not count.
        "islower" => Value::from(
            text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase),
        ),
        "isupper" => Value::from(
            text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase),
        ),
        _ => return Ok(None),
    }))
}

fn value_error(message: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.to_string())
}

fn character_index(text: &str, at: Option<usize>) -> Option<Value> {
    at.map(|at| Value::from(text[..at].chars().count()))
}

fn partition(text: &str, separator: &str, last: bool) -> Result<Value, Error> {
    if separator.is_empty() {
        return Err(value_error("empty separator"));
    }
    let split = if last {
        text.rsplit_once(separator)
    } else {
        text.split_once(separator)
    };
    let parts = match split {
        Some((before, after)) => [before, separator, after],
        None if last => ["", "", text],
        None => [text, "", ""],
    };
    Ok(parts.into_iter().map(Value::from).collect())
}

fn rsplit(text: &str, separator: Option<&str>, most: Option<i64>) -> Value {
    let most = usize::try_from(most.unwrap_or(-1)).unwrap_or(usize::MAX);
    let mut parts: Vec<&str> = Vec::new();
    match separator {
        Some(separator) => parts.extend(text.rsplitn(most.saturating_add(1), separator)),
        None => {
            let mut rest = text.trim_end();
            while !rest.is_empty() {
                let cut = rest.char_indices().rev().find(|(_, c)| c.is_whitespace());
                let (at, space) = match cut.filter(|_| parts.len() < most) {
                    Some((at, c)) => (at + c.len_utf8(), at),
                    None => (0, 0),
                };
                parts.push(&rest[at..]);
                rest = rest[..space].trim_end();
            }
        }
    }
    parts.into_iter().rev().map(Value::from).collect()
}

// Every run of letters starts with a capital, an apostrophe ends a run: "it's" -> "It'S".
fn title(text: &str) -> String {
    let (mut out, mut inside) = (String::with_capacity(text.len()), false);
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphabetic();
    }
    out
}

fn pad(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (width, fill) = from_args::<(usize, Option<&str>)>(args)?;
    let missing = width.min(1 << 16).saturating_sub(text.chars().count());
    let padding = match method {
        "zfill" => "0",
        _ => fill.unwrap_or(" "),
    }
    .repeat(missing);
    Ok(Value::from(match method {
        "ljust" => [text, &padding].concat(),
        _ => [&padding, text].concat(),
    }))
}

fn list_index(list: &Value, args: &[Value]) -> Result<Value, Error> {
    let (wanted,) = from_args::<(&Value,)>(args)?;
    let at = list.try_iter()?.position(|item| item == *wanted);
    at.map(Value::from)
        .ok_or_else(|| value_error("value is not in list"))
}

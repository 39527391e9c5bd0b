//! Template values as Python would write them: `str()`, `repr()` and `json.dumps`.

use std::fmt::Write;

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

/// `str(value)`, what `{{ value }}` prints.
pub fn str_of(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(String::new()),
        ValueKind::String => Ok(value.as_str().unwrap_or_default().to_string()),
        _ => repr(value, 0),
    }
}

// What JSON may nest, and then some.
const DEEPEST: usize = 400;

fn check_depth(depth: usize) -> Result<(), Error> {
    if depth < DEEPEST {
        return Ok(());
    }
    let message = format!("a value is nested more than {DEEPEST} deep");
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

fn repr(value: &Value, depth: usize) -> Result<String, Error> {
    check_depth(depth)?;
    let repr = |value: &Value| repr(value, depth + 1);
    let items = |open: &str, close: &str| -> Result<String, Error> {
        let parts: Result<Vec<String>, Error> = value.try_iter()?.map(|v| repr(&v)).collect();
        Ok(format!("{open}{}{close}", parts?.join(", ")))
    };
    match value.kind() {
        ValueKind::None => Ok("None".into()),
        ValueKind::Bool => Ok(if value.is_true() { "True" } else { "False" }.into()),
        ValueKind::Number => Ok(number(value)),
        ValueKind::String => Ok(quoted(value.as_str().unwrap_or_default())),
        ValueKind::Seq | ValueKind::Iterable => items("[", "]"),
        ValueKind::Map => {
            let mut parts = Vec::new();
            for key in value.try_iter()? {
                parts.push(format!(
                    "{}: {}",
                    repr(&key)?,
                    repr(&value.get_item(&key)?)?
                ));
            }
            Ok(format!("{{{}}}", parts.join(", ")))
        }
        _ => Ok(value.to_string()),
    }
}

fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

fn number(value: &Value) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float)
}

/// `repr(float)`: the shortest digits that read back, an exponent outside 1e-4 .. 1e16.
pub fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.into();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    format!("{number:?}")
}

/// Options of Hugging Face's `tojson` filter, which go to `json.dumps`.
#[derive(Default, Clone)]
pub struct JsonOptions {
    pub indent: Option<usize>,
    pub ensure_ascii: bool,
    pub sort_keys: bool,
    /// Between items and after keys; None: Python's defaults.
    pub separators: Option<(String, String)>,
}

/// `json.dumps(value, **options)`.
pub fn json(value: &Value, options: &JsonOptions) -> Result<String, Error> {
    let item = if options.indent.is_some() { "," } else { ", " };
    let (item, key) = options
        .separators
        .clone()
        .unwrap_or((item.into(), ": ".into()));
    let mut writer = JsonWriter {
        options,
        item,
        key,
        out: String::new(),
    };
    writer.value(value, 0)?;
    Ok(writer.out)
}

struct JsonWriter<'a> {
    options: &'a JsonOptions,
    item: String,
    key: String,
    out: String,
}

impl JsonWriter<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        check_depth(depth)?;
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self
                .out
                .push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => {
                let text = match number(value).as_str() {
                    "nan" => "NaN".to_string(),
                    "inf" => "Infinity".to_string(),
                    "-inf" => "-Infinity".to_string(),
                    text => text.to_string(),
                };
                self.out.push_str(&text);
            }
            ValueKind::String => self.string(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.list('[', ']', items.len(), depth, |writer, i| {
                    writer.value(&items[i], depth + 1)
                })?;
            }
            ValueKind::Map => self.map(value, depth)?,
            kind => {
                let message = format!("Object of type {kind} is not JSON serializable");
                return Err(Error::new(ErrorKind::InvalidOperation, message));
            }
        }
        Ok(())
    }

    fn map(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let mut keys: Vec<Value> = value.try_iter()?.collect();
        if self.options.sort_keys {
            keys.sort();
        }
        self.list('{', '}', keys.len(), depth, |writer, i| {
            let name = match keys[i].kind() {
                ValueKind::None => "null".into(),
                ValueKind::Bool => str_of(&keys[i])?.to_lowercase(),
                _ => str_of(&keys[i])?,
            };
            writer.string(&name);
            let separator = writer.key.clone();
            writer.out.push_str(&separator);
            writer.value(&value.get_item(&keys[i])?, depth + 1)
        })
    }

    fn list(
        &mut self,
        open: char,
        close: char,
        count: usize,
        depth: usize,
        mut write: impl FnMut(&mut Self, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.out.push(open);
        for i in 0..count {
            if i > 0 {
                let separator = self.item.clone();
                self.out.push_str(&separator);
            }
            self.new_line(depth + 1);
            write(self, i)?;
        }
        if count > 0 {
            self.new_line(depth);
        }
        self.out.push(close);
        Ok(())
    }

    fn new_line(&mut self, depth: usize) {
        if let Some(indent) = self.options.indent {
            self.out.push('\n');
            self.out.push_str(&" ".repeat(indent * depth));
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                c if (c as u32) < 0x20 || (self.options.ensure_ascii && c as u32 > 0x7e) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(self.out, "\\u{unit:04x}");
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Value {
        Value::from_serialize(serde_json::from_str::<serde_json::Value>(json).unwrap())
    }

    #[test]
    fn floats_as_python_writes_them() {
        let cases = [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-0.0, "-0.0"),
            (f64::INFINITY, "inf"),
            (123456.789, "123456.789"),
        ];
        for (number, text) in cases {
            assert_eq!(float(number), text);
        }
    }

    #[test]
    fn values_as_python_prints_them() {
        let value = parse(r#"{"b": [1, 2.0, true, null], "a": "it's", "c": "x\n\"'"}"#);
        let text = r#"{'b': [1, 2.0, True, None], 'a': "it's", 'c': 'x\n"\''}"#;
        assert_eq!(str_of(&value).unwrap(), text);
        assert_eq!(str_of(&Value::from("it's")).unwrap(), "it's");
        assert_eq!(str_of(&Value::UNDEFINED).unwrap(), "");
    }

    #[test]
    fn json_keeps_order_and_writes_no_html_escapes() {
        let value = parse(r#"{"b": "<&'é\u0001", "a": [], "n": [1, 2.50, {"x": null}]}"#);
        let plain = JsonOptions::default();
        let text = r#"{"b": "<&'é\u0001", "a": [], "n": [1, 2.5, {"x": null}]}"#;
        assert_eq!(json(&value, &plain).unwrap(), text);
        let indented = JsonOptions {
            indent: Some(2),
            sort_keys: true,
            ..plain.clone()
        };
        let value = parse(r#"{"b": [1, 2], "a": {}}"#);
        let text = "{\n  \"a\": {},\n  \"b\": [\n    1,\n    2\n  ]\n}";
        assert_eq!(json(&value, &indented).unwrap(), text);
        let tight = JsonOptions {
            separators: Some((",".into(), ":".into())),
            ensure_ascii: true,
            ..plain
        };
        let value = parse(r#"{"b": [1, "é🙂"]}"#);
        assert_eq!(
            json(&value, &tight).unwrap(),
            r#"{"b":[1,"\u00e9\ud83d\ude42"]}"#
        );
        assert!(json(&Value::UNDEFINED, &tight).is_err());
    }
}

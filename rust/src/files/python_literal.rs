//! Python's string and bytes literals, as `ast.literal_eval` reads what `repr` has written.

/// The bytes of `'...'`, `"..."` or `b'...'`; text as UTF-8. None if it is no such literal.
pub fn parse(literal: &str) -> Option<Vec<u8>> {
    let (is_bytes, quoted) = match literal.strip_prefix('b') {
        Some(rest) => (true, rest),
        None => (false, literal),
    };
    let quote = quoted.chars().next().filter(|c| *c == '\'' || *c == '"')?;
    let inside = quoted[1..].strip_suffix(quote)?;
    let (mut out, mut chars) = (Vec::with_capacity(inside.len()), inside.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(&mut chars, is_bytes, &mut out)?,
            c if c == quote || c == '\n' || (is_bytes && !c.is_ascii()) => return None,
            c => push(c, &mut out),
        }
    }
    Some(out)
}

fn push(c: char, out: &mut Vec<u8>) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn escape(chars: &mut std::str::Chars, is_bytes: bool, out: &mut Vec<u8>) -> Option<()> {
    let plain = match chars.next()? {
        'x' => return code(chars, 2, is_bytes, out),
        'u' if !is_bytes => return code(chars, 4, false, out),
        'U' if !is_bytes => return code(chars, 8, false, out),
        'a' => '\x07',
        'b' => '\x08',
        't' => '\t',
        'n' => '\n',
        'v' => '\x0b',
        'f' => '\x0c',
        'r' => '\r',
        c @ ('\\' | '\'' | '"') => c,
        _ => return None,
    };
    push(plain, out);
    Some(())
}

fn code(chars: &mut std::str::Chars, digits: u32, is_byte: bool, out: &mut Vec<u8>) -> Option<()> {
    let mut code = 0;
    for _ in 0..digits {
        code = code * 16 + chars.next()?.to_digit(16)?;
    }
    match is_byte {
        true => out.push(code as u8),
        false => push(char::from_u32(code)?, out),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_as_python_reads_them() {
        let cases: [(&str, Option<&[u8]>); 14] = [
            (r"'a\nb'", Some(b"a\nb")),
            (r#""it's""#, Some(b"it's")),
            (r"'\x80'", Some("\u{80}".as_bytes())),
            (r"b'\x80\xff\t'", Some(b"\x80\xff\t")),
            (r"'\u65e5\U0001f642'", Some("日🙂".as_bytes())),
            ("'日'", Some("日".as_bytes())),
            ("''", Some(b"")),
            ("b'日'", None),
            ("'a", None),
            ("'", None),
            ("a'", None),
            (r"'\q'", None),
            (r"'\ud800'", None),
            (r"'a'b'", None),
        ];
        for (literal, expected) in cases {
            assert_eq!(parse(literal).as_deref(), expected, "{literal}");
        }
    }
}

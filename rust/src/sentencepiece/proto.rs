//! What a `tokenizer.model` says: the parts of SentencePiece's `ModelProto` that encoding needs
//! (`sentencepiece_model.proto`), read from the protocol buffer wire format.

use crate::error::{Error, Result};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PieceKind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ModelKind {
    Unigram,
    Bpe,
    Word,
    Char,
}

pub struct Piece {
    pub text: String,
    pub score: f32,
    pub kind: PieceKind,
}

pub struct ModelFile {
    pub pieces: Vec<Piece>,
    pub kind: ModelKind,
    pub byte_fallback: bool,
    pub space_as_suffix: bool,
    pub unknown: i32,
    pub bos: i32,
    pub eos: i32,
    pub pad: i32,
    pub charsmap: Vec<u8>,
    pub dummy_prefix: bool,
    pub remove_extra_spaces: bool,
    pub escape_spaces: bool,
}

/// Fields of one message: (number, value).
struct Fields<'a>(&'a [u8]);

enum Field<'a> {
    Number(u64),
    Fixed32([u8; 4]),
    Bytes(&'a [u8]),
    Other, // eight bytes; none of ours
}

fn broken() -> Error {
    Error::corrupt("tokenizer.model is not a SentencePiece model: its fields do not add up")
}

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        if count > self.0.len() {
            return Err(broken());
        }
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(broken())
    }

    fn next(&mut self) -> Result<Option<(u64, Field<'a>)>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Number(self.varint()?),
            1 => {
                self.take(8)?;
                Field::Other
            }
            2 => {
                let size = usize::try_from(self.varint()?).map_err(|_| broken())?;
                Field::Bytes(self.take(size)?)
            }
            5 => {
                let mut bytes = [0; 4];
                bytes.copy_from_slice(self.take(4)?);
                Field::Fixed32(bytes)
            }
            _ => return Err(broken()),
        };
        Ok(Some((key >> 3, field)))
    }
}

fn each<'a>(message: &'a [u8], mut visit: impl FnMut(u64, Field<'a>) -> Result<()>) -> Result<()> {
    let mut fields = Fields(message);
    while let Some((number, field)) = fields.next()? {
        visit(number, field)?;
    }
    Ok(())
}

fn piece(message: &[u8]) -> Result<Piece> {
    let mut piece = Piece {
        text: String::new(),
        score: 0.0,
        kind: PieceKind::Normal,
    };
    each(message, |number, field| {
        match (number, field) {
            (1, Field::Bytes(text)) => {
                let text = std::str::from_utf8(text).map_err(|_| broken())?;
                piece.text = text.to_string();
            }
            (2, Field::Fixed32(bytes)) => piece.score = f32::from_le_bytes(bytes),
            (3, Field::Number(kind)) => {
                piece.kind = match kind {
                    2 => PieceKind::Unknown,
                    3 => PieceKind::Control,
                    4 => PieceKind::UserDefined,
                    5 => PieceKind::Unused,
                    6 => PieceKind::Byte,
                    _ => PieceKind::Normal,
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(piece)
}

impl ModelFile {
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut model = Self {
            pieces: Vec::new(),
            kind: ModelKind::Unigram,
            byte_fallback: false,
            space_as_suffix: false,
            unknown: 0,
            bos: 1,
            eos: 2,
            pad: -1,
            charsmap: Vec::new(),
            dummy_prefix: true,
            remove_extra_spaces: true,
            escape_spaces: true,
        };
        each(bytes, |number, field| {
            match (number, field) {
                (1, Field::Bytes(message)) => model.pieces.push(piece(message)?),
                (2, Field::Bytes(message)) => model.read_trainer(message)?,
                (3, Field::Bytes(message)) => model.read_normalizer(message)?,
                _ => {}
            }
            Ok(())
        })?;
        if model.pieces.is_empty() {
            return Err(Error::corrupt("tokenizer.model holds no pieces"));
        }
        Ok(model)
    }

    fn read_trainer(&mut self, message: &[u8]) -> Result<()> {
        each(message, |number, field| {
            let Field::Number(value) = field else {
                return Ok(());
            };
            match number {
                3 => {
                    self.kind = match value {
                        1 => ModelKind::Unigram,
                        2 => ModelKind::Bpe,
                        3 => ModelKind::Word,
                        4 => ModelKind::Char,
                        other => {
                            let message = format!("tokenizer.model: model_type {other} is unknown");
                            return Err(Error::unsupported(message));
                        }
                    }
                }
                24 => self.space_as_suffix = value != 0,
                35 => self.byte_fallback = value != 0,
                // A negative int32 is written as its 64 bits.
                40 => self.unknown = value as i32,
                41 => self.bos = value as i32,
                42 => self.eos = value as i32,
                43 => self.pad = value as i32,
                _ => {}
            }
            Ok(())
        })
    }

    fn read_normalizer(&mut self, message: &[u8]) -> Result<()> {
        each(message, |number, field| {
            match (number, field) {
                (2, Field::Bytes(map)) => self.charsmap = map.to_vec(),
                (3, Field::Number(value)) => self.dummy_prefix = value != 0,
                (4, Field::Number(value)) => self.remove_extra_spaces = value != 0,
                (5, Field::Number(value)) => self.escape_spaces = value != 0,
                _ => {}
            }
            Ok(())
        })
    }

    /// The id if there is such a piece.
    pub fn id(&self, id: i32) -> Option<u32> {
        let id = u32::try_from(id).ok()?;
        ((id as usize) < self.pieces.len()).then_some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_unknown_ones_skipped() {
        let piece = [
            0x0a, 3, 0xe2, 0x96, 0x81, 0x15, 0, 0, 0x80, 0xbf, 0x18, 4, 0x39, 1, 2, 3, 4, 5, 6, 7,
            8,
        ];
        let mut file = vec![0x0a, piece.len() as u8];
        file.extend(piece);
        file.extend([0x12, 17, 0x18, 2, 0x98, 2, 1, 0xd8, 2]);
        file.extend([0xff; 9]); // pad_id -1: its 64 bits in ten bytes
        file.push(1);
        file.extend([0x1a, 2, 0x18, 0]);
        let model = ModelFile::parse(&file).unwrap();
        let piece = &model.pieces[0];
        assert_eq!((piece.text.as_str(), piece.score), ("▁", -1.0));
        assert_eq!(piece.kind, PieceKind::UserDefined);
        assert_eq!((model.kind, model.byte_fallback), (ModelKind::Bpe, true));
        assert_eq!((model.pad, model.bos, model.dummy_prefix), (-1, 1, false));
        assert_eq!(
            (model.id(0), model.id(1), model.id(-1)),
            (Some(0), None, None)
        );
    }

    #[test]
    fn broken_files_are_refused() {
        let cases: [&[u8]; 6] = [
            b"",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x0a\x05ab",
            b"\x0a\x03\x0a\x01\xff",
            b"\x0b",
            b"\x0a\x03\x0a\x01a\x12\x02\x18\x09",
        ];
        for bytes in cases {
            assert!(ModelFile::parse(bytes).is_err(), "{bytes:?}");
        }
    }
}

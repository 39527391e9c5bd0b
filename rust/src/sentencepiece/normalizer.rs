//! SentencePiece's normalisation (`normalizer.cc`): characters replaced by a precompiled map, runs
//! of spaces collapsed, a space put in front, spaces written as U+2581.

use crate::error::{Error, Result};
use crate::interrupt;
use crate::vocabulary::Trie;

pub const SPACE: &str = "\u{2581}";

/// Replacements of character sequences, the longest match first: a double array trie (darts) whose
/// values are offsets into a pool of strings that end with NUL.
#[derive(Clone)]
struct CharsMap {
    units: Vec<u32>,
    pool: Vec<u8>,
}

impl CharsMap {
    fn parse(bytes: &[u8]) -> Result<Self> {
        let broken = || Error::corrupt("precompiled_charsmap: its trie exceeds it");
        let (size, rest) = bytes.split_at_checked(4).ok_or_else(broken)?;
        let size = u32::from_le_bytes([size[0], size[1], size[2], size[3]]) as usize;
        let (trie, pool) = rest.split_at_checked(size).ok_or_else(broken)?;
        let unit = |unit: &[u8]| u32::from_le_bytes([unit[0], unit[1], unit[2], unit[3]]);
        Ok(Self {
            units: trie.chunks_exact(4).map(unit).collect(),
            pool: pool.to_vec(),
        })
    }

    fn offset(unit: u32) -> usize {
        ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize
    }

    /// The length of the longest key that `text` starts with, and what replaces it.
    fn longest(&self, text: &[u8]) -> Option<(usize, &[u8])> {
        let mut node = Self::offset(*self.units.first()?);
        let mut found = None;
        for (at, byte) in text.iter().enumerate().take_while(|(_, byte)| **byte != 0) {
            node ^= usize::from(*byte);
            let Some(unit) = self.units.get(node).copied() else {
                break;
            };
            if unit & (1 << 31 | 0xff) != u32::from(*byte) {
                break;
            }
            node ^= Self::offset(unit);
            if unit >> 8 & 1 == 1 {
                let value = self.units.get(node).map(|leaf| leaf & !(1 << 31));
                found = value.map(|value| (at + 1, value as usize));
            }
        }
        let (length, start) = found?;
        let text = self.pool.get(start..)?;
        let end = text.iter().position(|byte| *byte == 0)?;
        Some((length, &text[..end]))
    }
}

#[derive(Clone)]
pub struct Normalizer {
    map: Option<CharsMap>,
    user_defined: Trie, // these pieces are left as they are
    pub remove_extra_spaces: bool,
    pub escape_spaces: bool,
    pub space_as_suffix: bool,
}

impl Normalizer {
    pub fn new(charsmap: &[u8], user_defined: Trie) -> Result<Self> {
        let map = match charsmap {
            [] => None,
            bytes => Some(CharsMap::parse(bytes)?),
        };
        Ok(Self {
            map,
            user_defined,
            remove_extra_spaces: true,
            escape_spaces: true,
            space_as_suffix: false,
        })
    }

    pub fn user_defined(&self) -> &Trie {
        &self.user_defined
    }

    fn space(&self) -> &'static str {
        if self.escape_spaces {
            SPACE
        } else {
            " "
        }
    }

    /// How many bytes the next step consumes, and what it gives.
    fn step<'a>(&'a self, text: &'a str) -> (usize, &'a [u8]) {
        let bytes = text.as_bytes();
        if let Some((length, _)) = self.user_defined.longest(bytes) {
            return (length, &bytes[..length]);
        }
        let mapped = self.map.as_ref().and_then(|map| map.longest(bytes));
        if let Some((length, to)) = mapped.filter(|(length, _)| text.is_char_boundary(*length)) {
            return (length, to);
        }
        let length = text.chars().next().map_or(0, char::len_utf8);
        (length, &bytes[..length])
    }

    /// `prefix`: put a space in front (or behind, where the model does so).
    pub fn normalize(&self, text: &str, prefix: bool) -> String {
        let mut rest = text;
        if self.remove_extra_spaces {
            while let (length @ 1.., b" ") = self.step(rest) {
                rest = &rest[length..];
            }
        }
        if rest.is_empty() {
            return String::new();
        }
        let mut out = Vec::with_capacity(rest.len() + 3);
        if prefix && !self.space_as_suffix {
            out.extend_from_slice(self.space().as_bytes());
        }
        let mut after_space = self.remove_extra_spaces;
        while !rest.is_empty() && !interrupt::tick(1) {
            let (length, mut given) = self.step(rest);
            rest = &rest[length..];
            while after_space && given.first() == Some(&b' ') {
                given = &given[1..];
            }
            if !given.is_empty() {
                for byte in given {
                    match byte {
                        b' ' => out.extend_from_slice(self.space().as_bytes()),
                        byte => out.push(*byte),
                    }
                }
                after_space = given.last() == Some(&b' ');
            }
            after_space &= self.remove_extra_spaces;
        }
        if self.remove_extra_spaces {
            while out.ends_with(self.space().as_bytes()) {
                out.truncate(out.len() - self.space().len());
            }
        }
        if prefix && self.space_as_suffix {
            out.extend_from_slice(self.space().as_bytes());
        }
        // A map out of a hostile file may cut characters; a real one never does.
        String::from_utf8(out)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Normalizer {
        Normalizer::new(&[], Trie::new([(&b"< >"[..], 0)].into_iter())).unwrap()
    }

    #[test]
    fn spaces_are_collapsed_escaped_and_prefixed() {
        let mut normalizer = plain();
        assert_eq!(normalizer.normalize("  a  b ", true), "▁a▁b");
        assert_eq!(normalizer.normalize("a b", false), "a▁b");
        assert_eq!(normalizer.normalize("   ", true), "");
        assert_eq!(normalizer.normalize("a\n b▁", true), "▁a\n▁b");
        assert_eq!(normalizer.normalize("a< >b", false), "a<▁>b");
        normalizer.remove_extra_spaces = false;
        assert_eq!(normalizer.normalize(" a  b ", true), "▁▁a▁▁b▁");
        normalizer.escape_spaces = false;
        normalizer.space_as_suffix = true;
        assert_eq!(normalizer.normalize("a  b", true), "a  b ");
    }

    #[test]
    fn broken_maps_are_refused_or_match_nothing() {
        assert!(Normalizer::new(&[1, 0], Trie::default()).is_err());
        assert!(Normalizer::new(&[255, 255, 255, 255, 0], Trie::default()).is_err());
        for seed in 0..64u32 {
            let noise = (0..200u32).map(|i| ((i * 2654435761 + seed * 40503) >> 13) as u8);
            let map: Vec<u8> = [128, 0, 0, 0].into_iter().chain(noise).collect();
            let normalizer = Normalizer::new(&map, Trie::default()).unwrap();
            normalizer.normalize("aé日🙂 \0b", true);
        }
    }
}

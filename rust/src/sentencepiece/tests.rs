use super::*;
use crate::vocabulary::Trie;

const PIECES: [(&str, f32); 9] = [
    ("<unk>", 0.0),
    ("▁", -2.0),
    ("a", -3.0),
    ("b", -3.5),
    ("ab", -1.0),
    ("▁a", -1.5),
    ("<tag>", 0.0),
    ("<0xC3>", 0.0),
    ("<0xA9>", 0.0),
];

fn model(kind: Kind, prefix: Prefix) -> SentencePiece {
    let user_defined = Trie::new([(&b"<tag>"[..], 6)].into_iter());
    let normalizer = Normalizer::new(&[], user_defined).unwrap();
    let pieces = PIECES.iter().map(|(piece, _)| piece.to_string()).collect();
    SentencePiece::new(pieces, normalizer, prefix, kind, Some(0))
}

fn bpe(prefix: Prefix) -> SentencePiece {
    let mut scores: Vec<f32> = PIECES.iter().map(|(_, score)| *score).collect();
    scores[0] = f32::NAN;
    let unused = AHashSet::new();
    model(Kind::Bpe(Bpe { scores, unused }), prefix)
}

fn texts(model: &SentencePiece, text: &str) -> Vec<String> {
    let tokens = model.segment(text).into_iter();
    tokens.map(|token| token.value).collect()
}

#[test]
fn user_defined_pieces_are_whole_and_join_nothing() {
    let model = bpe(Prefix::Each);
    assert_eq!(
        texts(&model, "a<tag>ab  ab"),
        ["▁a", "<tag>", "ab", "▁", "ab"]
    );
    assert_eq!(texts(&model, "<tag"), ["▁", "<unk>", "a", "<unk>"]);
}

#[test]
fn the_unknown_joins_and_bytes_fall_back_only_whole() {
    assert_eq!(texts(&bpe(Prefix::Never), "aéé日b"), ["a", "<unk>", "b"]);
    let bytes = bpe(Prefix::Never).with_byte_fallback();
    assert_eq!(
        texts(&bytes, "aé日日b"),
        ["a", "<0xC3>", "<0xA9>", "<unk>", "b"]
    );
}

#[test]
fn only_the_marked_stretch_is_prefixed() {
    let model = bpe(Prefix::First);
    assert_eq!(texts(&model, "\u{10ffff}a\u{10ffff}b"), ["▁a", "▁", "b"]);
    assert_eq!(texts(&model, "ab"), ["ab"]);
    let mut keeps = bpe(Prefix::First);
    keeps.normalizer.remove_extra_spaces = false;
    assert_eq!(texts(&keeps, "\u{10ffff}\u{10ffff}a"), ["▁", "▁a"]);
}

#[test]
fn words_and_characters() {
    let word = model(Kind::Word, Prefix::Each);
    assert_eq!(texts(&word, "a ab a"), ["▁a", "<unk>", "▁a"]);
    let char = model(Kind::Char, Prefix::Each);
    assert_eq!(texts(&char, "ab<tag>"), ["▁", "a", "b", "<tag>"]);
    assert_eq!(texts(&char, ""), [""; 0]);
}

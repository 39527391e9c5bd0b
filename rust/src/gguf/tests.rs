use serde_json::{json, Value};

use crate::tokenizer::TextTokenizer;
use crate::Kind;

fn spm_metadata() -> Value {
    json!({
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", "<0x0A>", "▁", "a", "b", "▁a", "ab",
                                  "<tag>", "x<", "<"],
        "tokenizer.ggml.scores": [0, 0, 0, 0, -1, -2, -3, -4, -5, 0, -6, -7],
        "tokenizer.ggml.token_type": [2, 3, 3, 6, 1, 1, 1, 1, 1, 4, 1, 1],
    })
}

fn bpe_metadata() -> Value {
    json!({
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": ["a", "b", "Ġ", "ab", "Ġab", "<|im_end|>", "<|user|>", ""],
        "tokenizer.ggml.merges": ["a b", "Ġ ab", "a zz"],
        "tokenizer.ggml.token_type": [1, 1, 1, 1, 1, 1, 4, 1],
        "tokenizer.ggml.bos_token_id": 5,
        "tokenizer.ggml.eos_token_id": 5,
    })
}

fn with(mut metadata: Value, key: &str, value: Value) -> Value {
    metadata[format!("tokenizer.ggml.{key}")] = value;
    metadata
}

fn build(metadata: &Value) -> TextTokenizer {
    TextTokenizer::from_gguf(&metadata.to_string()).unwrap()
}

fn refusal(metadata: &Value) -> (Kind, String) {
    let error = TextTokenizer::from_gguf(&metadata.to_string())
        .err()
        .unwrap();
    (error.kind, error.message)
}

#[test]
fn scored_vocabularies_get_bos_and_a_leading_space_after_every_special_token() {
    let tokenizer = build(&spm_metadata());
    assert_eq!(
        tokenizer.encode("ab\na", true, true).unwrap(),
        [1, 7, 6, 3, 5]
    );
    assert_eq!(
        tokenizer.encode("ab</s>a", false, true).unwrap(),
        [7, 6, 2, 7]
    );
    assert_eq!(tokenizer.encode("", true, true).unwrap(), [1]);
    assert_eq!(tokenizer.decode(&[1, 7, 6, 3], true).unwrap(), "ab\n");
    let info = tokenizer.info();
    assert_eq!(
        (info.bos, info.eos, info.unknown),
        (Some(1), Some(2), Some(0))
    );
    assert_eq!(
        (&info.prefix[..], &info.suffix[..], info.vocab_size),
        (&[1][..], &[][..], 12)
    );
    assert_eq!(info.end_ids, [2]);

    let plain = with(spm_metadata(), "add_space_prefix", json!(false));
    let plain = with(
        with(plain, "add_bos_token", json!(false)),
        "add_eos_token",
        json!(true),
    );
    assert_eq!(build(&plain).encode("ab a", true, true).unwrap(), [8, 7, 2]);
}

#[test]
fn special_tokens_in_text_are_read_only_when_asked_and_user_defined_always() {
    let tokenizer = build(&with(spm_metadata(), "add_space_prefix", json!(false)));
    assert_eq!(tokenizer.encode("a<tag>", false, false).unwrap(), [5, 9]);
    assert_eq!(tokenizer.encode("</s>", false, true).unwrap(), [2]);
    assert_eq!(
        tokenizer.encode("</s>", false, false).unwrap(),
        [11, 0, 0, 0]
    );
    assert!(tokenizer.is_special(2) && !tokenizer.is_special(9) && !tokenizer.is_special(99));
}

#[test]
fn byte_level_vocabularies_merge_in_order_and_find_their_ends() {
    let tokenizer = build(&bpe_metadata());
    assert_eq!(
        tokenizer.encode("ab ab<|im_end|>", true, true).unwrap(),
        [3, 4, 5]
    );
    assert_eq!(tokenizer.decode(&[3, 4, 5], true).unwrap(), "ab ab");
    assert_eq!(
        tokenizer.decode(&[4, 5, 6], false).unwrap(),
        " ab<|im_end|><|user|>"
    );
    assert_eq!(tokenizer.info().end_ids, [5]);
    assert_eq!(tokenizer.info().eot, Some(5));
    assert_eq!(tokenizer.token(7).as_deref(), Some("[EMPTY_7]"));
    let llama = build(&with(bpe_metadata(), "pre", json!("llama-bpe")));
    assert_eq!(llama.encode("ab", true, true).unwrap(), [5, 3]);
}

#[test]
fn rwkv_bytes_join_across_tokens() {
    let metadata = json!({
        "tokenizer.ggml.model": "rwkv",
        "tokenizer.ggml.tokens": ["<s>", "\\xe6", "\\x97\\xa5", "a", "ab", " "],
        "tokenizer.ggml.token_type": [3, 1, 1, 1, 1, 1],
        "tokenizer.ggml.eos_token_id": 0,
    });
    let tokenizer = build(&metadata);
    assert_eq!(
        tokenizer.encode("ab 日a", true, true).unwrap(),
        [4, 5, 1, 2, 3]
    );
    assert_eq!(tokenizer.decode(&[4, 5, 1, 2, 3], true).unwrap(), "ab 日a");
    assert_eq!(tokenizer.token_bytes(2).unwrap(), b"\x97\xa5");
}

#[test]
fn harmony_ends_turns_not_messages() {
    let tokens = json!(["a", "<|end|>", "<|return|>", "<|call|>", "<|start|>", "Ġ"]);
    let metadata = with(with(bpe_metadata(), "tokens", tokens), "merges", json!([]));
    let metadata = with(metadata, "token_type", json!([1, 3, 3, 3, 3, 1]));
    let metadata = with(
        with(metadata, "eos_token_id", json!(2)),
        "bos_token_id",
        json!(99),
    );
    let tokenizer = build(&metadata);
    assert_eq!(tokenizer.info().end_ids, [2, 3]);
    assert_eq!(tokenizer.info().bos, None);
    assert!(tokenizer.is_special(2) && !tokenizer.is_special(1) && !tokenizer.is_special(4));
}

fn t5_metadata() -> Value {
    json!({
        "tokenizer.ggml.model": "t5",
        "tokenizer.ggml.tokens": ["<pad>", "</s>", "<unk>", "▁", "a", "▁a", "ab", "<x>", "<0x41>"],
        "tokenizer.ggml.scores": [0, 0, 0, -2, -3, -2.5, -4, -9, 0],
        "tokenizer.ggml.token_type": [3, 3, 2, 1, 1, 1, 1, 4, 6],
        "tokenizer.ggml.add_space_prefix": true,
        "tokenizer.ggml.remove_extra_whitespaces": true,
    })
}

#[test]
fn unigram_vocabularies_end_with_eos_and_collapse_spaces() {
    let tokenizer = build(&t5_metadata());
    assert_eq!(
        tokenizer.encode("  a  ab日日a ", true, true).unwrap(),
        [5, 3, 6, 2, 4, 1]
    );
    assert_eq!(tokenizer.encode("<x>", false, true).unwrap(), [7]);
    assert_eq!(tokenizer.encode("", true, true).unwrap(), [1]);
    assert_eq!(tokenizer.decode(&[5, 3, 6, 1], true).unwrap(), "a ab");
    let info = tokenizer.info();
    assert_eq!((info.bos, info.eos, info.unknown), (None, Some(1), Some(2)));
    let plain = with(t5_metadata(), "add_space_prefix", json!(false));
    let plain = with(plain, "add_eos_token", json!(false));
    assert_eq!(build(&plain).encode("a", true, true).unwrap(), [4]);
}

fn bert_metadata() -> Value {
    json!({
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.tokens": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁un", "aff", "able", "▁,", "▁é"],
        "tokenizer.ggml.token_type": [3, 2, 3, 3, 1, 1, 1, 1, 1],
        "tokenizer.ggml.cls_token_id": 2,
        "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.seperator_token_id": 3,
        "tokenizer.ggml.unknown_token_id": 1,
    })
}

#[test]
fn word_pieces_continue_words_and_stand_between_cls_and_sep() {
    let tokenizer = build(&bert_metadata());
    assert_eq!(
        tokenizer.encode("Unaffable, unx", true, true).unwrap(),
        [2, 4, 5, 6, 7, 1, 3]
    );
    assert_eq!(
        tokenizer.decode(&[2, 4, 5, 6, 7, 3], true).unwrap(),
        "unaffable,"
    );
    assert_eq!(tokenizer.encode("É", false, true).unwrap(), [1]);
    let cased = with(bert_metadata(), "normalizer.lowercase", json!(false));
    assert_eq!(build(&cased).encode("é", false, true).unwrap(), [8]);
    assert_eq!(build(&cased).encode("Un", false, true).unwrap(), [1]);
}

#[test]
fn a_repeated_token_warns_and_its_first_id_wins() {
    let tokens = json!([
        "a",
        "b",
        "Ġ",
        "ab",
        "ab",
        "<|im_end|>",
        "<|user|>",
        "<|user|>"
    ]);
    let metadata = with(bpe_metadata(), "tokens", tokens);
    let kinds = json!([1, 1, 1, 1, 1, 1, 4, 4]);
    let tokenizer = build(&with(metadata, "token_type", kinds));
    let warning = &tokenizer.info().warnings[0];
    assert!(
        warning.contains("repeats 2 of its 8 tokens: 'ab' has ids 3 and 4"),
        "{warning}"
    );
    assert_eq!(tokenizer.encode("ab<|user|>", false, true).unwrap(), [3, 6]);
    assert_eq!(tokenizer.decode(&[4, 7, 3], false).unwrap(), "ab<|user|>ab");
    assert_eq!(tokenizer.token(4).as_deref(), Some("ab"));
    let scored = with(spm_metadata(), "tokens", json!(["<unk>", "a", "b", "a"]));
    let scored = with(scored, "token_type", json!([2, 1, 1, 1]));
    let scored = with(scored, "bos_token_id", json!(99));
    let scored = with(scored, "add_bos_token", json!(false));
    let scored = build(&with(scored, "add_space_prefix", json!(false)));
    assert_eq!(scored.encode("ab", true, true).unwrap(), [1, 2]);
    assert_eq!(scored.decode(&[3, 2], true).unwrap(), "ab");
    assert!(build(&spm_metadata()).info().warnings.is_empty());
}

#[test]
fn broken_metadata_says_what_is_wrong() {
    let spm = spm_metadata;
    let cases = [
        (
            with(spm(), "model", json!("hybriddna")),
            Kind::Unsupported,
            "'hybriddna'; supported: llama, gpt2",
        ),
        (
            with(spm(), "scores", json!([1])),
            Kind::Corrupt,
            "scores holds 1 numbers",
        ),
        (
            with(spm(), "token_type", json!([1])),
            Kind::Corrupt,
            "token_type holds 1 numbers",
        ),
        (
            with(spm(), "tokens", json!([])),
            Kind::Corrupt,
            "tokens holds 0",
        ),
        (
            with(
                t5_metadata(),
                "precompiled_charsmap",
                json!([9, 0, 0, 0, 1]),
            ),
            Kind::Corrupt,
            "precompiled_charsmap",
        ),
        (
            with(bert_metadata(), "unknown_token_id", json!(-1)),
            Kind::Corrupt,
            "unknown_token_id",
        ),
        (
            with(spm(), "tokens", json!(7)),
            Kind::Corrupt,
            "invalid type",
        ),
        (with(spm(), "bos_token_id", json!(99)), Kind::Corrupt, ""),
        (
            with(bpe_metadata(), "pre", json!("new")),
            Kind::Unsupported,
            "'new' is not known; known",
        ),
        (
            with(bpe_metadata(), "merges", json!(["ab"])),
            Kind::Corrupt,
            "merges[0] 'ab'",
        ),
        (
            with(bpe_metadata(), "merges", json!(null)),
            Kind::Corrupt,
            "merges is missing",
        ),
        (
            with(spm(), "model", json!("plamo2")),
            Kind::Corrupt,
            "no byte token <0x00>",
        ),
    ];
    for (metadata, kind, message) in cases {
        if message.is_empty() {
            let explicit = with(metadata, "add_bos_token", json!(true));
            assert!(refusal(&explicit).1.contains("add_bos_token is true"));
            continue;
        }
        let (got, text) = refusal(&metadata);
        assert!(got == kind && text.contains(message), "{text}");
    }
}

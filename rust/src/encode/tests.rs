//! Slices against the whole, for every tokenizer of tests/goldens and random texts of all scripts.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Instant;

use serde_json::Value;
use tokenizers::models::bpe::BPE;
use tokenizers::{AddedToken, Model};

use super::long_words::LongWords;
use super::*;
use crate::{files, gguf};

fn goldens() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens")
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(goldens().join(name)).unwrap()
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&read(name)).unwrap()
}

/// Every tokenizer of tests/goldens, by name.
fn pipelines() -> Vec<(String, Pipeline)> {
    let mut found = Vec::new();
    for name in ["tokenizer", "tokenizer_gpt2", "tokenizer_spm"] {
        let text = String::from_utf8(read(&format!("{name}/tokenizer.json"))).unwrap();
        found.push((name.to_string(), Pipeline::from_str(&text).unwrap()));
    }
    for entry in std::fs::read_dir(goldens().join("tokenizer_files")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(case) = name.strip_suffix(".expected.json") else {
            continue;
        };
        let expected = json(&format!("tokenizer_files/{name}"));
        let file = expected["file"].as_str().unwrap();
        let data = read(&format!("tokenizer_files/{file}"));
        let pipeline = if file.ends_with(".gguf.json") {
            gguf::build(std::str::from_utf8(&data).unwrap()).unwrap().0
        } else {
            let own_name = !file.ends_with(".model") || file == "tiktoken.model";
            let name = if own_name { file } else { "tokenizer.model" };
            let merges = String::from_utf8(read("tokenizer_files/merges.txt")).unwrap();
            let context = serde_json::json!({"tokenizer_config": expected["tokenizer_config"],
                                             "config": expected["config"], "merges": merges});
            let built = files::build(name, &data, &context.to_string());
            built.unwrap_or_else(|error| panic!("{case}: {error}")).0
        };
        found.push((case.to_string(), pipeline));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % limit
    }
    fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// Pieces of the corpus, runs of one character, controls and added tokens, in any order.
fn text(random: &mut Random, corpus: &[String], added: &[String], pieces: usize) -> String {
    let mut out = String::new();
    for _ in 0..pieces {
        let chars: Vec<char> = random.of(corpus).chars().collect();
        match random.below(8) {
            0..=3 if !chars.is_empty() => {
                let from = random.below(chars.len());
                let to = from + 1 + random.below((chars.len() - from).min(30));
                out.extend(&chars[from..to.min(chars.len())]);
            }
            4 if !chars.is_empty() => {
                let count = 1 + random.below(70);
                out.extend(std::iter::repeat_n(*random.of(&chars), count));
            }
            5 if !added.is_empty() => out += random.of(added).as_str(),
            6 => out.extend(char::from_u32(random.below(0x3000) as u32)),
            _ => out += *random.of(&[" ", "  ", "\n", "\r\n", "\t", "\0", "a", "日本", "ab12"]),
        }
    }
    out
}

fn corpus() -> Vec<String> {
    serde_json::from_value(json("tokenizer_files/corpus.json")).unwrap()
}

fn added(pipeline: &Pipeline) -> Vec<String> {
    let tokens = pipeline.get_added_vocabulary().get_added_tokens_decoder();
    tokens.values().map(|token| token.content.clone()).collect()
}

/// Compares `texts` random texts; how many parts they were cut into.
fn compare(name: &str, pipeline: &Pipeline, seed: u64, texts: usize) -> usize {
    let encoder = Encoder::new(pipeline, false).unwrap();
    let words = encoder.words.as_ref().unwrap_or_else(|| panic!("{name}"));
    let (corpus, added, mut random) = (corpus(), added(pipeline), Random(seed));
    let mut parts = 0;
    for _ in 0..texts {
        let pieces = 1 + random.below(40);
        let text = text(&mut random, &corpus, &added, pieces);
        let expected = pipeline.encode_fast(text.as_str(), false).unwrap();
        for slice in [1, 7, 100] {
            let got = encoder.sliced(pipeline, words, &text, slice).unwrap();
            assert_eq!(
                got,
                expected.get_ids(),
                "{name}, slices of {slice}: {text:?}"
            );
        }
        let full = pipeline.encode_fast(text.as_str(), true).unwrap();
        assert_eq!(
            encoder.encode(pipeline, &text, true).unwrap(),
            full.get_ids()
        );
        let mut at = 0;
        while at < text.len() {
            at = encoder.cuts.next(&text, at, 1);
            parts += 1;
        }
    }
    parts
}

#[test]
fn slices_give_what_the_whole_does() {
    let all = pipelines();
    assert!(all.len() >= 19);
    for (seed, (name, pipeline)) in all.iter().enumerate() {
        let parts = compare(name, pipeline, seed as u64, 40);
        assert!(parts > 40 * 10, "{name}: {parts} parts");
        let mut literal = pipeline.clone();
        literal.set_encode_special_tokens(true);
        compare(name, &literal, seed as u64 + 100, 15);
    }
}

/// Stages that published files have and the goldens lack.
#[test]
fn slices_respect_every_stage() {
    let base = json("tokenizer_spm/tokenizer.json");
    let first = serde_json::json!({"type": "Metaspace", "replacement": "▁",
                                   "prepend_scheme": "first", "split": true});
    let always = serde_json::json!({"type": "Metaspace", "replacement": "▁",
                                    "prepend_scheme": "always", "split": true});
    let spaces = serde_json::json!({"type": "Split", "pattern": {"String": " "},
                                    "behavior": "MergedWithPrevious", "invert": false});
    let digits = serde_json::json!({"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": true}, {"type": "Punctuation", "behavior": "Isolated"},
        {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}]});
    let nfkc = serde_json::json!({"type": "NFKC"});
    let strips = serde_json::json!({"type": "Sequence", "normalizers": [
        {"type": "Strip", "strip_left": true, "strip_right": true}, {"type": "NFD"},
        {"type": "StripAccents"}, {"type": "Lowercase"}]});
    let replaces = serde_json::json!({"type": "Sequence", "normalizers": [
        {"type": "Replace", "pattern": {"String": "ab"}, "content": ""},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]});
    let cases = [
        (Value::Null, first.clone()),
        (nfkc.clone(), always),
        (strips.clone(), first),
        (base["normalizer"].clone(), spaces),
        (strips, digits),
        (replaces, Value::Null),
    ];
    for (seed, (normalizer, pre_tokenizer)) in cases.into_iter().enumerate() {
        let mut file = base.clone();
        file["normalizer"] = normalizer;
        file["pre_tokenizer"] = pre_tokenizer;
        let mut pipeline = Pipeline::from_str(&file.to_string()).unwrap();
        let name = format!("case {seed}");
        compare(&name, &pipeline, seed as u64, 40);
        let token = |text: &str| AddedToken::from(text.to_string(), false).normalized(true);
        pipeline
            .add_tokens([token("Le1t").lstrip(true), token("Я").rstrip(true)])
            .unwrap();
        compare(&name, &pipeline, seed as u64 + 50, 40);
        pipeline
            .add_tokens([token("Съ").single_word(true)])
            .unwrap();
        compare(&name, &pipeline, seed as u64 + 90, 20);
    }
}

#[test]
fn long_words_are_those_of_the_whole() {
    let (corpus, mut random, mut windows) = (corpus(), Random(5), 0);
    for (name, option, value) in [
        ("tokenizer", "ignore_merges", false),
        ("tokenizer", "ignore_merges", true),
        ("tokenizer_spm", "ignore_merges", true),
        ("tokenizer_spm", "byte_fallback", true),
        ("tokenizer_spm", "byte_fallback", false),
    ] {
        let mut model = json(&format!("{name}/tokenizer.json"))["model"].clone();
        model[option] = value.into();
        let model: BPE = serde_json::from_str(&model.to_string()).unwrap();
        let long = LongWords::of(&model).unwrap();
        for _ in 0..60 {
            let mut word = text(&mut random, &corpus, &["aaaa".into()], 60);
            if name == "tokenizer" {
                word = crate::bytes::to_byte_level(word.as_bytes());
            }
            let expected = model.tokenize(&word).unwrap();
            for (window, dropped) in [(1, 0), (90, 2), (300, 24)] {
                let got = long.windowed(&model, &word, window, dropped).unwrap();
                assert_eq!(got, expected, "{name}, windows of {window}: {word:?}");
                windows += word.len() / window.max(32);
            }
        }
    }
    assert!(windows > 1000);
}

#[test]
fn work_ends_soon_after_it_is_told_to() {
    let text = "The naïve 日本語 quick_brown(fox) 1234 jumps\n".repeat(2500);
    let word = "aéb日".repeat(20_000);
    for (name, pipeline) in pipelines() {
        let encoder = Encoder::new(&pipeline, false).unwrap();
        for text in [&text, &word] {
            let asked = std::cell::Cell::new(0);
            let stop = || {
                asked.set(asked.get() + 1);
                asked.get() == 2
            };
            let got = interrupt::scope(&stop, || encoder.encode(&pipeline, text, true));
            assert_eq!(got.unwrap_err().kind, Kind::Cancelled, "{name}");
            assert_eq!(asked.get(), 2, "{name}");
        }
    }
}

/// Prints what the steps cost, and how long they go on when told to end: `cargo test --release
/// --manifest-path rust/Cargo.toml -- --ignored --nocapture in_steps`.
#[test]
#[ignore = "a measurement"]
fn the_time_of_a_text_in_steps_and_whole() {
    let line = "The naïve 日本語 quick_brown(fox) 1234 jumps\n";
    let text = line.repeat(3_000_000 / line.len());
    let kinds = [
        "tokenizer",
        "tokenizer_gpt2",
        "tokenizer_spm",
        "kimi",
        "sentencepiece_bpe",
    ];
    for (name, pipeline) in pipelines() {
        if !kinds.contains(&name.as_str()) {
            continue;
        }
        let encoder = Encoder::new(&pipeline, false).unwrap();
        let (mut whole, mut steps, mut gap) = (vec![], vec![], 0f64);
        for _ in 0..3 {
            let begun = Instant::now();
            let expected = pipeline.encode_fast(text.as_str(), false).unwrap();
            whole.push(begun.elapsed().as_secs_f64());
            let begun = Instant::now();
            let last = std::cell::Cell::new(begun);
            let longest = std::cell::Cell::new(0f64);
            let stop = || {
                longest.set(
                    longest
                        .get()
                        .max(last.replace(Instant::now()).elapsed().as_secs_f64()),
                );
                false
            };
            let got = interrupt::scope(&stop, || encoder.encode(&pipeline, &text, false));
            steps.push(begun.elapsed().as_secs_f64());
            assert_eq!(got.unwrap(), expected.get_ids());
            gap = gap.max(longest.get());
        }
        whole.sort_by(f64::total_cmp);
        steps.sort_by(f64::total_cmp);
        let (whole, steps, gap) = (whole[1], steps[1], 1e3 * gap);
        println!(
            "{name}: whole {whole:.2} s, in steps {steps:.2} s, asked every {gap:.0} ms at least"
        );
    }
}

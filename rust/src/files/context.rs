//! What the files around a vocabulary say about it: tokenizer_config.json, special_tokens_map.json,
//! added_tokens.json and config.json, as far as their tokens and flags go.

use std::collections::BTreeMap;

use ahash::AHashSet;
use serde_json::Value;
use tokenizers::AddedToken;

use crate::error::{Error, Result};

/// Ids that configurations may add beyond a vocabulary's own.
const MOST_ADDED: usize = 1 << 20;

#[derive(Default, Debug)]
pub struct Context {
    /// tokenizer_class, without transformers' "Fast".
    pub class: String,
    pub model_type: String,
    pub legacy: Option<bool>,
    pub add_prefix_space: Option<bool>,
    pub add_bos: Option<bool>,
    pub add_eos: Option<bool>,
    /// merges.txt.
    pub merges: Option<String>,
    given: Vec<&'static str>, // names that tokenizer_config.json has, null among them
    added: BTreeMap<u32, AddedToken>,
    named: BTreeMap<&'static str, String>,
    other_special: Vec<String>,
}

const NAMES: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "pad_token",
    "sep_token",
    "cls_token",
    "mask_token",
];

// A token is its text, or an object with "content".
fn content(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str())
}

fn added_token(value: &Value) -> Option<AddedToken> {
    let flag = |name: &str| value.get(name).and_then(Value::as_bool);
    let special = flag("special").unwrap_or(false);
    let token = AddedToken::from(content(value)?.to_string(), special);
    // Matched in the text as written: what normalises it is the model's own affair here.
    Some(
        token
            .lstrip(flag("lstrip").unwrap_or(false))
            .rstrip(flag("rstrip").unwrap_or(false))
            .single_word(flag("single_word").unwrap_or(false))
            .normalized(false),
    )
}

impl Context {
    pub fn parse(json: &str) -> Result<Self> {
        let files: Value = serde_json::from_str(json)
            .map_err(|error| Error::invalid(format!("tokenizer context: {error}")))?;
        let file = |name: &str| files.get(name).unwrap_or(&Value::Null);
        let (config, map) = (file("tokenizer_config"), file("special_tokens_map"));
        let flag = |name: &str| config.get(name).and_then(Value::as_bool);
        let text = |value: &Value, name: &str| {
            let text = value.get(name).and_then(Value::as_str);
            text.unwrap_or_default().to_string()
        };
        let mut context = Self {
            class: text(config, "tokenizer_class")
                .trim_end_matches("Fast")
                .to_string(),
            model_type: text(file("config"), "model_type"),
            legacy: flag("legacy"),
            add_prefix_space: flag("add_prefix_space"),
            add_bos: flag("add_bos_token"),
            add_eos: flag("add_eos_token"),
            merges: file("merges").as_str().map(str::to_string),
            given: NAMES
                .into_iter()
                .filter(|name| config.get(name).is_some())
                .collect(),
            ..Self::default()
        };
        for name in NAMES {
            let found = [config, map]
                .iter()
                .find_map(|file| content(file.get(name)?));
            if let Some(token) = found.filter(|token| !token.is_empty()) {
                context.named.insert(name, token.to_string());
            }
        }
        for file in [config, map] {
            for name in ["additional_special_tokens", "extra_special_tokens"] {
                context.read_other_special(file.get(name).unwrap_or(&Value::Null));
            }
        }
        context.read_added(file("added_tokens"), config)?;
        Ok(context)
    }

    fn read_other_special(&mut self, value: &Value) {
        let tokens: Vec<&Value> = match value {
            Value::Array(tokens) => tokens.iter().collect(),
            Value::Object(tokens) => tokens.values().collect(),
            _ => Vec::new(),
        };
        let texts = tokens.into_iter().filter_map(content);
        self.other_special.extend(texts.map(str::to_string));
    }

    // added_tokens.json is the older of the two.
    fn read_added(&mut self, older: &Value, config: &Value) -> Result<()> {
        for (token, id) in older.as_object().into_iter().flatten() {
            if let Some(id) = id.as_u64().and_then(|id| u32::try_from(id).ok()) {
                let special = self.is_named(token);
                let token = AddedToken::from(token.clone(), special).normalized(false);
                self.added.insert(id, token);
            }
        }
        let decoder = config
            .get("added_tokens_decoder")
            .and_then(Value::as_object);
        for (id, token) in decoder.into_iter().flatten() {
            let id: u32 = id.parse().map_err(|_| {
                Error::corrupt(format!("added_tokens_decoder: '{id}' is not a token id"))
            })?;
            if let Some(mut token) = added_token(token) {
                token.special |= self.is_named(&token.content);
                self.added.insert(id, token);
            }
        }
        self.added.retain(|_, token| !token.content.is_empty());
        Ok(())
    }

    fn is_named(&self, token: &str) -> bool {
        self.named.values().any(|named| named == token)
            || self.other_special.iter().any(|other| other == token)
    }

    /// What the tokenizer's class calls a token of which the configuration says nothing.
    pub fn default_named(&mut self, name: &'static str, token: &str) {
        if !self.given.contains(&name) {
            self.named.entry(name).or_insert_with(|| token.to_string());
        }
    }

    pub fn named(&self, name: &str) -> Option<&str> {
        self.named.get(name).map(String::as_str)
    }

    /// `pieces` with the added tokens at their ids, and special tokens without an id behind them.
    pub fn with_added(&self, mut pieces: Vec<String>) -> Result<Vec<String>> {
        let base = pieces.len();
        if let Some((&highest, _)) = self.added.last_key_value() {
            let highest = highest as usize;
            if highest >= base.saturating_add(MOST_ADDED) {
                return Err(Error::corrupt(format!(
                    "the added token {highest} is far beyond the vocabulary of {base} tokens"
                )));
            }
            for id in base..=highest {
                pieces.push(format!("<|reserved_token_{id}|>"));
            }
        }
        for (id, token) in &self.added {
            pieces[*id as usize] = token.content.clone();
        }
        let known: AHashSet<&str> = pieces.iter().map(String::as_str).collect();
        let others = self.named.values().chain(&self.other_special);
        let mut missing: Vec<String> = Vec::new();
        for token in others.filter(|token| !known.contains(token.as_str())) {
            if !missing.contains(token) {
                missing.push(token.clone());
            }
        }
        pieces.extend(missing);
        Ok(pieces)
    }

    /// What is found in text before the model sees it: ids by the file's own word, then added ones.
    pub fn added_tokens(
        &self,
        pieces: &[String],
        special: &[u32],
        user_defined: &[u32],
    ) -> Vec<AddedToken> {
        let own = |ids: &[u32], special: bool| -> Vec<(u32, AddedToken)> {
            let token = |id: &u32| {
                let content = pieces[*id as usize].clone();
                let special = special || self.is_named(&content);
                (*id, AddedToken::from(content, special).normalized(false))
            };
            ids.iter().map(token).collect()
        };
        let mut tokens: BTreeMap<u32, AddedToken> = own(user_defined, false).into_iter().collect();
        tokens.extend(own(special, true));
        tokens.extend(self.added.iter().map(|(id, token)| (*id, token.clone())));
        let known: AHashSet<&str> = tokens
            .values()
            .map(|token| token.content.as_str())
            .collect();
        let others = self.named.values().chain(&self.other_special);
        let others: Vec<AddedToken> = others
            .filter(|token| !known.contains(token.as_str()))
            .map(|token| AddedToken::from(token.clone(), true).normalized(false))
            .collect();
        tokens.into_values().chain(others).collect()
    }
}

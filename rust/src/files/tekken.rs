//! Mistral's tekken.json: tiktoken's ranks behind a number of special tokens (mistral-common's
//! `Tekkenizer.from_file`).

use serde::Deserialize;

use super::{utf8, Context, Read};
use crate::error::{Error, Result};
use crate::info::Info;
use crate::model::AnyModel;
use crate::rank_bpe::RankBpe;
use crate::stages::{self, Parts};

const MOST_TOKENS: usize = 1 << 22;

#[derive(Deserialize)]
struct File {
    config: Config,
    vocab: Vec<Token>,
    special_tokens: Option<Vec<Special>>,
    model_settings_builder: Option<Settings>,
}

/// What a chat may ask of the model, from version 15 on.
#[derive(Deserialize)]
struct Settings {
    reasoning_effort: Option<Setting>,
}

#[derive(Deserialize)]
struct Setting {
    values: Vec<String>,
    default: Option<String>,
    accepts_none: bool,
}

#[derive(Deserialize)]
struct Config {
    pattern: String,
    default_vocab_size: Option<usize>,
    default_num_special_tokens: usize,
    #[serde(default)]
    version: String,
}

#[derive(Deserialize)]
struct Token {
    token_bytes: String,
}

#[derive(Deserialize)]
struct Special {
    rank: usize,
    token_str: String,
}

// Files before version 7 do not list them.
const SPECIAL: [&str; 20] = [
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
];

// mistral-common writes chats in code: version 3 puts the system's text before the last user's, later
// ones give it a place of its own. Tools are not written.
const CHAT_3: &str = concat!(
    "{{- bos_token -}}{%- set n = namespace(system=[], last=-1) -%}",
    "{%- for m in messages -%}{%- if m.role == 'user' -%}{%- set n.last = loop.index0 -%}",
    "{%- elif m.role == 'system' -%}{%- set n.system = n.system + [m] -%}{%- endif -%}{%- endfor -%}",
    "{%- macro text(m) -%}{{- m.content if m.content is string else ",
    "m.content|map(attribute='text')|join('\n\n') -}}{%- endmacro -%}",
    "{%- for m in messages -%}{%- if m.role == 'user' -%}{{- '[INST]' -}}",
    "{%- if loop.index0 == n.last -%}{%- for s in n.system -%}{{- text(s) + '\n\n' -}}{%- endfor -%}",
    "{%- endif -%}{{- text(m) + '[/INST]' -}}",
    "{%- elif m.role == 'assistant' -%}{{- text(m).rstrip() + eos_token -}}",
    "{%- elif m.role != 'system' -%}",
    "{{- raise_exception('expected messages of system, user and assistant, got ' + m.role) -}}",
    "{%- endif -%}{%- endfor -%}",
);
// What comes between the system's text and the user's first stands for SETTINGS.
const SETTINGS: &str = "{#- settings -#}";
const CHAT_7: &str = concat!(
    "{{- bos_token -}}{%- set n = namespace(first=true) -%}{%- macro text(m) -%}{{- m.content if m.content is string else ",
    "m.content|map(attribute='text')|join('\n\n') -}}{%- endmacro -%}",
    "{%- for m in messages -%}{%- if m.role == 'system' -%}",
    "{{- '[SYSTEM_PROMPT]' + text(m) + '[/SYSTEM_PROMPT]' -}}",
    "{%- elif m.role == 'user' -%}{%- if n.first -%}{#- settings -#}{%- set n.first = false -%}",
    "{%- endif -%}{{- '[INST]' + text(m) + '[/INST]' -}}",
    "{%- elif m.role == 'assistant' -%}{{- text(m).rstrip() + eos_token -}}{%- else -%}",
    "{{- raise_exception('expected messages of system, user and assistant, got ' + m.role) -}}",
    "{%- endif -%}{%- endfor -%}",
);

fn chat_template(file: &File) -> Option<String> {
    let effort = file
        .model_settings_builder
        .as_ref()
        .and_then(|settings| settings.reasoning_effort.as_ref());
    match file.config.version.as_str() {
        "v3" => Some(CHAT_3.to_string()),
        "v7" | "v11" | "v13" => Some(CHAT_7.replace(SETTINGS, "")),
        "v15" => Some(CHAT_7.replace(SETTINGS, &effort.map(effort_template).unwrap_or_default())),
        _ => None,
    }
}

/// Writes the variable reasoning_effort as JSON between its marks, where it is one of the values.
fn effort_template(setting: &Setting) -> String {
    let json = |value: serde_json::Value| value.to_string();
    let (default, values) = match &setting.default {
        Some(default) => (json(default.as_str().into()), setting.values.clone()),
        None => ("none".to_string(), setting.values.clone()),
    };
    let allowed = json(values.into());
    let accepts_none = setting.accepts_none && setting.default.is_none();
    format!(
        "{{%- set effort = reasoning_effort|default({default}, true) -%}}\
         {{%- if effort is none and not {accepts_none} -%}}\
         {{{{- raise_exception('reasoning_effort should be set for this model') -}}}}\
         {{%- elif effort is not none and effort not in {allowed} -%}}\
         {{{{- raise_exception('expected reasoning_effort to be one of ' + ({allowed})|join(', ')) -}}}}\
         {{%- elif effort is not none -%}}\
         {{{{- '[MODEL_SETTINGS]{{\"reasoning_effort\": \"' + effort + '\"}}[/MODEL_SETTINGS]' -}}}}\
         {{%- endif -%}}"
    )
}

/// Versions that mistral-common 1.13 knows.
const VERSIONS: [&str; 7] = ["v1", "v2", "v3", "v7", "v11", "v13", "v15"];

fn warnings(file: &File) -> Vec<String> {
    let version = file.config.version.as_str();
    let known = VERSIONS.contains(&version);
    let message = format!(
        "tekken.json has version '{version}', which is not known; known: {}",
        VERSIONS.join(", ")
    );
    (!known).then_some(message).into_iter().collect()
}

fn broken(message: impl std::fmt::Display) -> Error {
    Error::corrupt(format!("tekken.json: {message}"))
}

/// The special tokens by rank, those without a name as mistral-common calls them.
fn special_tokens(file: &File) -> Result<Vec<String>> {
    let count = file.config.default_num_special_tokens;
    if count > MOST_TOKENS {
        return Err(broken(format!("{count} special tokens")));
    }
    let mut tokens: Vec<String> = (0..count).map(|id| format!("<SPECIAL_{id}>")).collect();
    let listed = file.special_tokens.iter().flatten();
    let listed: Vec<(usize, &str)> = match file.special_tokens {
        Some(_) => listed.map(|t| (t.rank, t.token_str.as_str())).collect(),
        None if matches!(file.config.version.as_str(), "v11" | "v13" | "v15") => {
            let version = &file.config.version;
            return Err(broken(format!(
                "version {version} must list special_tokens"
            )));
        }
        None => SPECIAL.into_iter().enumerate().collect(),
    };
    for (rank, token) in listed {
        let place = tokens.get_mut(rank).ok_or_else(|| {
            broken(format!(
                "the special token '{token}' has rank {rank} of {count}"
            ))
        })?;
        *place = token.to_string();
    }
    Ok(tokens)
}

pub fn read(data: &[u8], context: &Context) -> Result<Read> {
    let file: File = serde_json::from_str(utf8("tekken.json", data)?).map_err(broken)?;
    let mut pieces = special_tokens(&file)?;
    let first = pieces.len();
    let kept = match file.config.default_vocab_size {
        Some(size) => size
            .checked_sub(first)
            .filter(|kept| *kept <= file.vocab.len()),
        None => Some(file.vocab.len()),
    };
    let kept = kept.filter(|kept| *kept <= MOST_TOKENS).ok_or_else(|| {
        let (size, given) = (file.config.default_vocab_size, file.vocab.len());
        broken(format!(
            "default_vocab_size {size:?} with {given} tokens and {first} special ones"
        ))
    })?;
    let decoded = file.vocab[..kept].iter().zip(0..).map(|(token, rank)| {
        let bytes = base64::decode(&token.token_bytes);
        Ok((
            bytes.map_err(|error| broken(format!("token {rank}: {error}")))?,
            rank,
        ))
    });
    let ranked: Vec<(Vec<u8>, u32)> = decoded.collect::<Result<_>>()?;
    pieces.extend(RankBpe::pieces(&ranked));
    let id = |token: &str| {
        let position = pieces[..first].iter().position(|piece| piece == token);
        position.map(|id| id as u32)
    };
    let info = Info {
        bos: id("<s>"),
        eos: id("</s>"),
        pad: id("<pad>"),
        unknown: id("<unk>"),
        chat_template: chat_template(&file),
        warnings: warnings(&file),
        ..Info::default()
    };
    let extended = context.with_added(pieces.clone())?;
    let model = RankBpe::new("tekken.json", ranked, first as u32, extended)?;
    let mut parts = Parts::new(AnyModel::RankBpe(model), stages::byte_level());
    let cuts = stages::splits(&[file.config.pattern]);
    parts.pre_tokenizer = stages::sequence_of_pre_tokenizers(cuts);
    Ok(Read {
        parts,
        pieces,
        info,
        special: (0..first as u32).collect(),
        user_defined: Vec::new(),
        adds_bos: true,
    })
}

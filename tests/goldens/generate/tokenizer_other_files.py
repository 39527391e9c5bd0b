#!/usr/bin/env python3
"""Adds to tests/goldens/tokenizer_files what tokenizer_files.py, which is to run first, leaves out:
Kimi's long texts, tekken.json of version 15, vocab.json with merges.txt, unused pieces of SentencePiece,
the flags of tokenizer_config.json beside a tokenizer.json, and PLaMo's own code.

  tokenizer_other_files.py PLAMO_FOLDER   (with the tokenization_plamo.py of pfnet/plamo-2-1b)

Needs what tokenizer_files.py needs.
"""

import base64
import importlib.util
import itertools
import json
import shutil
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import sentencepiece
import tiktoken
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
from mistral_common.tokens.tokenizers.tekken import Tekkenizer
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

from tokenizer_corpus import TEXTS
from tokenizer_files import (KIMI, OUT, TRAINING, added, hugging_face, sentencepiece_cases,
                             split_special, store)

# Texts as lists of (unit, count).
LONG = [
    [["a", 25_000]], [["a", 25_001]], [["a", 60_000]], [["x", 1], [" ", 25_003], ["y", 1]],
    [["\x1c", 12_000], [" ", 13_001]], [["\u00e9", 25_002]], [["\u65e5", 30_000]], [["b", 1], [" a", 210_000]],
    [["a", 24_998], ["[EOS]", 1]], [["\u0301", 26_000]],
]


def ranks_of(name):
    lines = (OUT / name).read_text().splitlines()
    return {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines)}


def cut_runs(text):
    """No run of white space, or of anything else, is longer than 25,000 characters."""
    begin, run = 0, 0
    for at, c in enumerate(text):
        run = run + 1 if at and c.isspace() == text[at - 1].isspace() else 1
        if run > 25_000:
            yield text[begin:at]
            begin, run = at, 1
    yield text[begin:]


def repeats(ids):
    """Ids as text: "5", or "5,6,7*8" for these three eight times."""
    at, parts = 0, []
    while at < len(ids):
        period, count = 1, 1
        for size in range(1, 5):
            times = 1
            while ids[at + times * size:at + (times + 1) * size] == ids[at:at + size]:
                times += 1
            if times > 1 and times * size > period * count:
                period, count = size, times
        part = ",".join(map(str, ids[at:at + period]))
        parts.append(f"{part}*{count}" if count > 1 else part)
        at += period * count
    return " ".join(parts)


def kimi_case():
    """As tokenization_kimi.py: 256 special tokens, texts cut at every 400,000 characters and long runs."""
    config = json.loads((OUT / "kimi.expected.json").read_text())["tokenizer_config"]
    ranks = ranks_of("tiktoken.model")
    names = {i: f"<|reserved_token_{i}|>" for i in range(len(ranks), len(ranks) + 256)}
    names |= {int(i): token["content"] for i, token in config["added_tokens_decoder"].items()}
    encoding = tiktoken.Encoding("kimi", pat_str=KIMI, mergeable_ranks=ranks,
                                 special_tokens={name: i for i, name in names.items()})

    def encode(text):
        for start in range(0, len(text), 400_000):
            for part in cut_runs(text[start:start + 400_000]):
                yield from encoding.encode(part, allowed_special="all")

    texts = LONG + [[[f"<|reserved_token_{len(ranks) + 255}|>", 2]], [[f"<|reserved_token_{len(ranks) + 256}|>", 1]]]
    cases = [{"text": text, "ids": repeats(list(encode("".join(unit * count for unit, count in text))))} for text in texts]
    (OUT / "kimi_long.json").write_text(json.dumps(cases, ensure_ascii=False, indent=0) + "\n")
    print("kimi_long", len(cases))


def tekken_case():
    specials = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]",
                "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[TOOL_CONTENT]",
                "[ARGS]", "[CALL_ID]", "[THINK]", "[/THINK]", "[MODEL_SETTINGS]", "[/MODEL_SETTINGS]",
                "[PREFIX]", "[MIDDLE]", "[SUFFIX]", "<pad>"]
    file = json.loads((OUT / "tekken.json").read_text())
    count = file["config"]["default_vocab_size"] - file["config"]["default_num_special_tokens"]
    effort = {"type": "enum", "accepts_none": True, "default": "none", "values": ["none", "high"]}
    patch = {"config": {"version": "v15", "default_num_special_tokens": 30, "default_vocab_size": count + 30},
             "special_tokens": [{"rank": i, "token_str": name, "is_control": True} for i, name in enumerate(specials)],
             "model_settings_builder": {"reasoning_effort": effort}}
    file |= patch | {"config": file["config"] | patch["config"]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tekken.json")
        path.write_text(json.dumps(file))
        reference, chats = Tekkenizer.from_file(path), MistralTokenizer.from_file(path)
    names = specials + [f"<SPECIAL_{i}>" for i in range(len(specials), 30)]
    table = {name: i for i, name in enumerate(names)}
    plain = lambda text: reference.encode(text, bos=False, eos=False)
    decode = lambda ids: reference.decode(ids, special_token_policy="keep") if ids else ""

    def decode_bytes(ids):
        parts = (names[i].encode() if i < 30 else reference.id_to_byte_piece(i) for i in ids)
        return b"".join(parts).decode(errors="replace")

    written = []
    for settings in [{}, {"reasoning_effort": "high"}, {"reasoning_effort": "none"}]:
        messages = [{"role": "system", "content": "S"}, {"role": "user", "content": " a "},
                    {"role": "assistant", "content": " b "}, {"role": "user", "content": "c"}]
        request = ChatCompletionRequest(messages=messages, **settings)
        ids = chats.encode_chat_completion(request).tokens
        written.append({"messages": messages, "variables": settings, "ids": ids, "text": decode(ids)})
    store("tekken_v15", "tekken.json", {}, lambda text: split_special(text, table, plain), decode_bytes,
          "mistral-common 1.13.1", special=reference.encode("a", bos=True, eos=False), literal=plain)
    amend("tekken_v15", patch=patch, chats=written)


def amend(case, **more):
    path = OUT / f"{case}.expected.json"
    expected = json.loads(path.read_text()) | more
    path.write_text(json.dumps(expected, ensure_ascii=False, indent=0) + "\n")


def vocab_cases():
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.train_from_iterator(TRAINING, trainers.BpeTrainer(
        vocab_size=620, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False))
    model = json.loads(trained.to_str())["model"]
    (OUT / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False))
    merges = (" ".join(merge) for merge in model["merges"])
    (OUT / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    base = len(model["vocab"])
    chat = added("<|endoftext|>", "<|im_start|>", "<|im_end|>", first=base)
    cases = {
        "vocab_qwen2": ("qwen2", {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "bos_token": None,
                                  "add_bos_token": False, "added_tokens_decoder": chat}),
        "vocab_gpt2": ("gpt2", {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True, "add_prefix_space": True}),
        "vocab_starcoder2": ("starcoder2", {"added_tokens_decoder": chat}),
    }
    for case, (model_type, config) in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            for name in ["vocab.json", "merges.txt"]:
                shutil.copy(OUT / name, Path(folder, name))
            Path(folder, "tokenizer_config.json").write_text(json.dumps(config))
            Path(folder, "config.json").write_text(json.dumps({"model_type": model_type}))
            tokenizer = AutoTokenizer.from_pretrained(folder)
        store(case, "vocab.json", config, lambda text: tokenizer.encode(text, add_special_tokens=False),
              lambda ids: tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False),
              f"transformers 5.24, {type(tokenizer).__name__}", special=tokenizer.encode("a"))
        amend(case, config={"model_type": model_type}, eos=tokenizer.eos_token_id)


def unused_cases():
    """Every fifth of the longer pieces is out of use."""
    for kind in ["bpe", "unigram"]:
        proto = sentencepiece_model_pb2.ModelProto.FromString((OUT / f"{kind}.model").read_bytes())
        normal = [p for p in proto.pieces if p.type == p.NORMAL and len(p.piece) > 1]
        for piece in normal[::5]:
            piece.type = piece.UNUSED
        (OUT / f"{kind}_unused.model").write_bytes(proto.SerializeToString())
        sentencepiece_cases(f"sentencepiece_{kind}_unused", f"{kind}_unused.model")


def flag_cases():
    """What add_bos_token and add_eos_token do beside a tokenizer.json, by class."""
    source = OUT.parent / "tokenizer"
    file = json.loads((source / "tokenizer.json").read_text())
    bos = {"SpecialToken": {"id": "<|bos|>", "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    file["post_processor"] = {"type": "TemplateProcessing", "single": [bos, text], "pair": [text, {"Sequence": {"id": "B", "type_id": 1}}],
                              "special_tokens": {"<|bos|>": {"id": "<|bos|>", "ids": [1], "tokens": ["<|bos|>"]}}}
    cases = []
    for template, (cls, model_type), flags in itertools.product(
            [True, False],
            [("PreTrainedTokenizerFast", "llama"), ("GPT2Tokenizer", "gpt2"), ("Qwen2Tokenizer", "qwen2"),
             ("GPTNeoXTokenizer", "gpt_neox"), ("GPTNeoXTokenizerFast", "olmoe"), ("GPTNeoXTokenizer", "stablelm"),
             (None, "mamba"), (None, "llama")],
            [{}, {"add_bos_token": True, "add_eos_token": True}, {"add_bos_token": False}]):
        config = flags | {"bos_token": "<|bos|>", "eos_token": "<|endoftext|>"} | ({"tokenizer_class": cls} if cls else {})
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "tokenizer.json").write_text(json.dumps(file | ({} if template else {"post_processor": None})))
            Path(folder, "tokenizer_config.json").write_text(json.dumps(config))
            Path(folder, "config.json").write_text(json.dumps({"model_type": model_type}))
            tokenizer = AutoTokenizer.from_pretrained(folder)
        cases.append({"template": template, "tokenizer_config": config, "config": {"model_type": model_type},
                      "class": type(tokenizer).__name__, "ids": tokenizer.encode("a")})
    golden = {"post_processor": file["post_processor"], "cases": cases}
    (OUT / "flags.json").write_text(json.dumps(golden, indent=0) + "\n")
    print("flags", len(cases), sorted({(case["class"], len(case["ids"])) for case in cases}))


def plain_numba():
    """What tokenization_plamo.py imports of numba, without compiling anything."""
    numba, core, typed = (types.ModuleType(name) for name in ["numba", "numba.core", "numba.typed"])
    # numba computes in 64 bits where numpy would in 32, and counts truth as a number: so do Python's own.
    whole = lambda value: value.astype(object) if isinstance(value, np.ndarray) else value
    numba.njit = lambda function: lambda *values: function(*map(whole, values))
    core.types = types.SimpleNamespace(int64=int, int32=int)
    typed.Dict = type("Dict", (dict,), {"empty": classmethod(lambda cls, key_type, value_type: cls()),
                                        "__class_getitem__": classmethod(lambda cls, item: cls)})
    typed.List = list
    sys.modules |= {"numba": numba, "numba.core": core, "numba.typed": typed}


def plamo_case(folder):
    plain_numba()
    spec = importlib.util.spec_from_file_location("tokenization_plamo", Path(folder, "tokenization_plamo.py"))
    plamo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plamo)
    rows = [json.loads(line) for line in (OUT / "tokenizer.jsonl").read_text().splitlines()]
    reference = plamo.AhoCorasick()
    reference.build(rows)
    specials = {row[0]: i for i, row in enumerate(rows) if row[2] in ("UNKNOWN", "CONTROL")}
    encode = lambda text: [int(i) for i in reference.encode(text)] if text else []

    def decode(ids):
        pieces = (bytes([int(rows[i][0][3:5], 16)]) if rows[i][2] == "BYTE" else rows[i][0].encode() for i in ids)
        return b"".join(pieces).decode(errors="replace")

    store("plamo", "tokenizer.jsonl", {"tokenizer_class": "Plamo2Tokenizer"},
          lambda text: split_special(text, specials, encode), decode, "tokenization_plamo.py", literal=encode)


def main():
    kimi_case()
    tekken_case()
    vocab_cases()
    unused_cases()
    flag_cases()
    plamo_case(sys.argv[1])


if __name__ == "__main__":
    main()

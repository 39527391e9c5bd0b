#!/usr/bin/env python3
"""Writes tests/goldens/tokenizer_files: small vocabularies of every kind of tokenizer file, and the
ids that the reference of each gives for the texts of tokenizer_corpus.py. Then run
tokenizer_other_files.py, which adds the rest.

  tokenizer_files.py RWKV_WHEEL_FOLDER   (the folder of an unpacked rwkv==0.8.32)

Needs transformers 5.24, tokenizers, sentencepiece 0.2.3, tiktoken, mistral-common 1.13.1. An id list
is stored as text, its numbers joined by spaces; a decoded text only where it is not the text itself.
"""

import base64
import json
import os
import re
import shutil
import sys
import tempfile
import unicodedata
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import sentencepiece
import tiktoken
from mistral_common.tokens.tokenizers.tekken import Tekkenizer
from sentencepiece import sentencepiece_model_pb2
from tokenizers import BertWordPieceTokenizer, Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, BertTokenizer

from tokenizer_corpus import TEXTS

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "tokenizer_files"
TRAINING = [p.read_text() for p in sorted((HERE.parents[2] / "docs").glob("*.md"))] + TEXTS * 3

LLAMA3 = r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
QWEN = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
KIMI = "|".join([
    r"""[\p{Han}]+""",
    r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
    r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
    r"""\p{N}{1,3}""", r""" ?[^\s\p{L}\p{N}]+[\r\n]*""", r"""\s*[\r\n]+""", r"""\s+(?!\S)""", r"""\s+""",
])
TEKKEN = r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"""


def store(case, file, config, encode, decode, reference, special=None, literal=None):
    ids = [list(encode(text)) for text in TEXTS]
    decoded = {}
    for at, (text, one) in enumerate(zip(TEXTS, ids)):
        if (back := decode(one)) != text:
            decoded[str(at)] = back
    expected = {"reference": reference, "file": file, "tokenizer_config": config,
                "ids": [" ".join(map(str, one)) for one in ids], "decoded": decoded}
    if special:
        expected["with_special"] = " ".join(map(str, special))  # of the text "a"
    if literal:
        expected["literal"] = [" ".join(map(str, literal(text))) for text in TEXTS]
    text = json.dumps(expected, ensure_ascii=False, indent=0)
    (OUT / f"{case}.expected.json").write_text(text + "\n")
    print(case, sum(map(len, ids)), "ids", len(decoded), "decoded apart")


def rules():
    """A character map in nmt_nfkc's manner, small: compatibility forms, and odd spaces to U+0020."""
    lines = []
    for code in [*range(0xA0, 0x180), *range(0x2100, 0x2190), *range(0x2460, 0x2480), *range(0xFB00, 0xFB07),
                 *range(0xFF01, 0xFF5F), *range(0x1D518, 0x1D560), *range(0x1D7D8, 0x1D7E2)]:
        to = unicodedata.normalize("NFKC", chr(code))
        if to != chr(code):
            lines.append((f"{code:X}", " ".join(f"{ord(c):X}" for c in to)))
    for code in [0x9, 0xA, 0xD, 0xA0, 0x2003, 0x2028, 0x3000, 0xFEFF]:
        lines = [line for line in lines if line[0] != f"{code:X}"] + [(f"{code:X}", "20")]
    lines += [("65 301", "E9"), ("6F 302 323", "1ED9"), ("1", ""), ("7F", ""), ("200B", "")]
    return "".join(f"{a}\t{b}\n" for a, b in lines)


def train_sentencepiece(name, **options):
    with tempfile.TemporaryDirectory() as folder:
        text, tsv, prefix = Path(folder, "text"), Path(folder, "rules.tsv"), Path(folder, "m")
        text.write_text("\n".join(line for part in TRAINING for line in part.split("\n") if "\0" not in line))
        tsv.write_text(rules())
        if options.pop("map", False):
            options["normalization_rule_tsv"] = str(tsv)
        else:
            options["normalization_rule_name"] = "identity"
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=str(prefix), minloglevel=2, num_threads=1,
            hard_vocab_limit=False, **options)
        shutil.copy(f"{prefix}.model", OUT / name)


def split_special(text, specials, encode):
    """What transformers' slow tokenizers do: special tokens first, then each stretch on its own."""
    pattern = "|".join(re.escape(s) for s in sorted(specials, key=len, reverse=True))
    for part in re.split(f"({pattern})", text) if specials else [text]:
        if part in specials:
            yield specials[part]
        elif part:
            yield from encode(part)


def sentencepiece_cases(case, file):
    model = sentencepiece.SentencePieceProcessor(model_file=str(OUT / file))
    specials = {model.id_to_piece(i): i for i in range(model.get_piece_size()) if model.is_control(i) or model.is_unknown(i)}
    decoder = hugging_face(file, {})
    store(case, file, {}, lambda text: split_special(text, specials, model.encode),
          lambda ids: decoder.decode(ids, skip_special_tokens=False),
          f"sentencepiece {sentencepiece.__version__}; decoding: transformers", literal=model.encode)


def hugging_face(file, config):
    folder = tempfile.mkdtemp()
    name = file if file.endswith(".json") else "tokenizer.model"
    shutil.copy(OUT / file, Path(folder, name))
    Path(folder, "tokenizer_config.json").write_text(json.dumps(config))
    Path(folder, "config.json").write_text('{"model_type": "llama"}')
    return AutoTokenizer.from_pretrained(folder)


def transformers_case(case, file, config):
    tokenizer = hugging_face(file, config)
    store(case, file, config, lambda text: tokenizer.encode(text, add_special_tokens=False),
          lambda ids: tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False),
          f"transformers 5.24, {type(tokenizer).__name__}", special=tokenizer.encode("a"))


def added(*tokens, first, special=True):
    return {str(first + i): {"content": token, "lstrip": False, "normalized": False, "rstrip": False,
                             "single_word": False, "special": special} for i, token in enumerate(tokens)}


def train_ranks(pattern, size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(TRAINING, trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=sorted(alphabet), show_progress=False))
    encoder = {}
    for byte in range(256):
        encoder[byte] = chr(byte) if chr(byte) in alphabet else None
    moved = iter(range(256, 512))
    decoder = {}
    for byte in range(256):
        decoder[encoder[byte] or chr(next(moved))] = byte
    words = [bytes(decoder[c] for c in token) for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda x: x[1])]
    singles = [bytes([b]) for b in range(256)]
    return {token: rank for rank, token in enumerate(singles + [w for w in words if len(w) > 1])}


def write_ranks(name, ranks):
    lines = (base64.b64encode(token).decode() + f" {rank}\n" for token, rank in ranks.items())
    (OUT / name).write_text("".join(lines))


def tiktoken_cases():
    ranks = train_ranks(KIMI, 700)
    write_ranks("tiktoken.model", ranks)
    base = len(ranks)
    names = ["[BOS]", "[EOS]", "<|im_end|>", "<s>", "[INST]"]
    config = {"tokenizer_class": "TikTokenTokenizer", "bos_token": "[BOS]", "eos_token": "[EOS]",
              "added_tokens_decoder": added(*names, first=base)}
    encoding = tiktoken.Encoding("kimi", pat_str=KIMI, mergeable_ranks=ranks,
                                 special_tokens={name: base + i for i, name in enumerate(names)})
    store("kimi", "tiktoken.model", config, lambda text: encoding.encode(text, allowed_special="all"), encoding.decode,
          f"tiktoken {tiktoken.__version__}, the pattern of tokenization_kimi.py",
          literal=lambda text: encoding.encode(text, disallowed_special=()))

    write_ranks("qwen.tiktoken", ranks)
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + [f"<|extra_{i}|>" for i in range(205)]
    qwen = tiktoken.Encoding("qwen", pat_str=QWEN, mergeable_ranks=ranks,
                             special_tokens={name: base + i for i, name in enumerate(specials)})
    store("qwen", "qwen.tiktoken", {"tokenizer_class": "QWenTokenizer"},
          lambda text: qwen.encode(unicodedata.normalize("NFC", text), allowed_special="all"), qwen.decode,
          f"tiktoken {tiktoken.__version__}, the pattern and NFC of tokenization_qwen.py")

    write_ranks("llama3.model", ranks)
    transformers_case("llama3", "llama3.model", {
        "bos_token": "<s>", "eos_token": "<|im_end|>", "add_bos_token": True,
        "added_tokens_decoder": added("<s>", "<|im_end|>", first=base)})


def tekken_case():
    ranks = train_ranks(TEKKEN, 650)
    specials = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"]
    vocabulary = [{"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
                  for token, rank in ranks.items()]
    spare = 20  # listed, and cut off by default_vocab_size
    file = {"config": {"pattern": TEKKEN, "num_vocab_tokens": len(ranks), "default_vocab_size": len(ranks) - spare + 12,
                       "default_num_special_tokens": 12, "version": "v7"}, "vocab": vocabulary,
            "special_tokens": [{"rank": i, "token_str": name, "is_control": True} for i, name in enumerate(specials)],
            "version": 1, "type": "tekken"}
    (OUT / "tekken.json").write_text(json.dumps(file))
    reference = Tekkenizer.from_file(OUT / "tekken.json")
    names = specials + [f"<SPECIAL_{i}>" for i in range(len(specials), 12)]

    def decode(ids):
        model = reference._model
        return b"".join(names[i].encode() if i < 12 else model.decode_single_token_bytes(i - 12) for i in ids).decode(errors="replace")

    plain = lambda text: reference.encode(text, bos=False, eos=False)
    table = {name: i for i, name in enumerate(names)}
    store("tekken", "tekken.json", {}, lambda text: split_special(text, table, plain), decode,
          "mistral-common 1.13.1", special=reference.encode("a", bos=True, eos=False), literal=plain)


def plamo_vocabulary():
    """A scored vocabulary out of the unigram model; costs are whole, so every tenth score is in the middle."""
    model = sentencepiece.SentencePieceProcessor(model_file=str(OUT / "unigram.model"))
    rows = [[f"<|plamo:{name}|>", 0.0, kind] for name, kind in
            [("unk", "UNKNOWN"), ("bos", "CONTROL"), ("eos", "CONTROL"), ("pad", "CONTROL")]]
    rows += [[f"<0x{b:02X}>", 0.0, "BYTE"] for b in range(256)]
    rows += [[model.id_to_piece(i).replace("\u2581", " "), round(model.get_score(i), 5), "NORMAL"]
             for i in range(model.get_piece_size()) if model.get_score(i) < 0]
    (OUT / "tokenizer.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def rwkv_case(package):
    sys.path.insert(0, package)
    from rwkv.rwkv_tokenizer import TRIE_TOKENIZER

    lines = Path(package, "rwkv", "rwkv_vocab_v20230424.txt").read_text(encoding="utf-8").split("\n")
    joined = "\n".join(TEXTS)
    kept = [line for line in lines if line and (int(line.split(" ")[0]) < 400 or (
        (token := eval(line[line.index(" "):line.rindex(" ")])) and isinstance(token, str) and token in joined and len(token) > 1))]
    name = "rwkv_vocab_v20230424.txt"
    (OUT / name).write_text("\n".join(kept[:1200]) + "\n", encoding="utf-8")
    reference = TRIE_TOKENIZER(str(OUT / name))
    end = "<|rwkv_tokenizer_end_of_text|>"
    decode = lambda ids: reference.decodeBytes(ids).decode(errors="replace")
    store("rwkv", name, {"eos_token": end, "bos_token": end}, reference.encode, decode, "rwkv 0.8.32")


def gguf_cases():
    """A unigram and a WordPiece vocabulary as llama.cpp's converter writes them."""
    proto = sentencepiece_model_pb2.ModelProto.FromString((OUT / "plain.model").read_bytes())
    metadata = {"model": "t5", "tokens": [p.piece for p in proto.pieces], "scores": [p.score for p in proto.pieces],
                "token_type": [p.type for p in proto.pieces], "add_space_prefix": True, "remove_extra_whitespaces": True,
                "precompiled_charsmap": list(proto.normalizer_spec.precompiled_charsmap),
                "eos_token_id": 2, "unknown_token_id": 0}
    write_gguf("t5.gguf.json", metadata)
    model = sentencepiece.SentencePieceProcessor(model_file=str(OUT / "plain.model"))
    specials = {"<s>": 1, "</s>": 2, "<unk>": 0}
    decoder = hugging_face("plain.model", {})
    store("gguf_t5", "t5.gguf.json", {}, lambda text: split_special(text, specials, model.encode),
          lambda ids: decoder.decode(ids, skip_special_tokens=False), "sentencepiece", special=model.encode("a") + [2])
    (OUT / "plain.model").unlink()

    trainer = BertWordPieceTokenizer(lowercase=True)
    trainer.train_from_iterator(TRAINING, vocab_size=700, show_progress=False)
    vocabulary = [token for token, _ in sorted(trainer.get_vocab().items(), key=lambda item: item[1])]
    reference = BertTokenizer(vocab={token: i for i, token in enumerate(vocabulary)})

    def phantom(token):
        if token.startswith("[") and token.endswith("]"):
            return token
        return token[2:] if token.startswith("##") else "\u2581" + token

    ids = {name: vocabulary.index(f"[{name}]") for name in ["PAD", "UNK", "CLS", "SEP", "MASK"]}
    write_gguf("bert.gguf.json", {
        "model": "bert", "tokens": [phantom(token) for token in vocabulary],
        "token_type": [3 if token in ("[PAD]", "[CLS]", "[SEP]", "[MASK]") else 2 if token == "[UNK]" else 1 for token in vocabulary],
        "bos_token_id": ids["CLS"], "seperator_token_id": ids["SEP"], "unknown_token_id": ids["UNK"], "padding_token_id": ids["PAD"]})
    store("gguf_bert", "bert.gguf.json", {}, lambda text: reference.encode(text, add_special_tokens=False),
          lambda one: reference.decode(one, skip_special_tokens=False, clean_up_tokenization_spaces=False),
          "transformers 5.24, BertTokenizer", special=reference.encode("a"))


def write_gguf(name, metadata):
    keys = {f"tokenizer.ggml.{key}": value for key, value in metadata.items()}
    (OUT / name).write_text(json.dumps(keys, ensure_ascii=False) + "\n")


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    (OUT / "corpus.json").write_text(json.dumps(TEXTS, ensure_ascii=False, indent=0) + "\n")
    train_sentencepiece("unigram.model", model_type="unigram", vocab_size=700, map=True,
                        user_defined_symbols=["<tag>"], character_coverage=0.98)
    train_sentencepiece("bpe.model", model_type="bpe", vocab_size=1100, byte_fallback=True, character_coverage=0.98,
                        user_defined_symbols=["<tag>", "\u2581\u2581\u2581"], remove_extra_whitespaces=False,
                        split_digits=True, allow_whitespace_only_pieces=True)
    train_sentencepiece("suffix.model", model_type="unigram", vocab_size=500, map=True, byte_fallback=True,
                        character_coverage=0.98, add_dummy_prefix=False, remove_extra_whitespaces=False)
    train_sentencepiece("plain.model", model_type="unigram", vocab_size=600, map=True, character_coverage=0.98)
    train_sentencepiece("char.model", model_type="char", vocab_size=300, map=True)
    for name in ["unigram", "bpe", "suffix", "char"]:
        sentencepiece_cases(f"sentencepiece_{name}", f"{name}.model")
    size = sentencepiece.SentencePieceProcessor(model_file=str(OUT / "bpe.model")).get_piece_size()
    llama = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "bos_token": "<s>", "eos_token": "</s>",
             "added_tokens_decoder": added("<|im_end|>", first=size)}
    transformers_case("llama", "bpe.model", llama)
    transformers_case("llama_legacy", "bpe.model", {**llama, "legacy": True, "add_eos_token": True})
    transformers_case("llama_no_prefix", "bpe.model", {**llama, "add_prefix_space": False, "add_bos_token": False})
    transformers_case("gemma", "bpe.model", {**llama, "tokenizer_class": "GemmaTokenizer", "pad_token": "<unk>", "mask_token": "<unk>"})
    tiktoken_cases()
    tekken_case()
    gguf_cases()
    plamo_vocabulary()
    rwkv_case(sys.argv[1])


if __name__ == "__main__":
    main()

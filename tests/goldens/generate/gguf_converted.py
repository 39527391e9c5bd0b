"""Writes to tests/goldens/gguf (gguf_lossy where the format loses an option of the case, so that the
golden's logits do not apply): golden models through llama.cpp's own converter, as float32.

Usage: python gguf_converted.py PATH_TO_LLAMA_CPP. Needs torch, transformers. Made with the sources
that llama-cpp-python 0.3.36 carries. The vocabulary is a placeholder.
"""
import json
import shutil
import sys
import tempfile
from pathlib import Path

LLAMA_CPP = Path(sys.argv[1])
sys.path[:0] = [str(LLAMA_CPP), str(LLAMA_CPP / "gguf-py")]
import conversion  # noqa: E402
import gguf  # noqa: E402
import torch  # noqa: E402
from conversion import base  # noqa: E402

GOLDENS = Path(__file__).parents[1]
# Each with the configuration to read and what the converter wants besides.
CASES = {
    "gemma2": {}, "gemma3_text": {}, "gpt_oss": {}, "phi3": {}, "phi3_longrope": {}, "exaone4": {},
    "starcoder2": {}, "deepseek_v3": {}, "minicpm3": {}, "plamo2": {}, "rwkv7": {}, "mistral": {},
    "cohere2": {"rotary_pct": 1.0}, "kimi_linear": {"hub": True}, "granitemoehybrid": {"hub": True},
    "bamba": {"hub": True}, "nemotron_h": {"hub": True, "mamba_d_head": 16},
}


LOSSY = {"gemma2", "gpt_oss", "minicpm3", "mistral", "plamo2", "starcoder2"}


def placeholder_vocabulary(self):
    count, writer = self.hparams["vocab_size"], self.gguf_writer
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([f"\u2581t{i}" for i in range(count)])
    writer.add_token_scores([0.0] * count)
    writer.add_token_types([1] * count)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)


def shift_norms_only(self, tensor, name, bid):
    """Gemma 3's own cuts the embedding to a tokenizer's size, and there is no tokenizer."""
    return base.TextModel.modify_tensors(self, tensor + self.norm_shift(name), name, bid)


def convert(name, settings, folder):
    source = GOLDENS / name
    config = (source / ("config.hub.json" if settings.get("hub") else "config.json")).read_text()
    config = json.loads(config.replace('{"__float__": "Infinity"}', "Infinity"))
    config |= {key: value for key, value in settings.items() if key != "hub"}
    (folder / "config.json").write_text(json.dumps(config))
    shutil.copy(source / "model.safetensors", folder)
    architecture = base.get_model_architecture(base.ModelBase.load_hparams(folder, False),
                                               base.ModelType.TEXT)
    original = conversion.get_model_class(architecture)
    members = {"set_vocab": placeholder_vocabulary, "model_arch": original.model_arch}
    if name == "gemma3_text":
        members["modify_tensors"] = shift_norms_only
    model = type(original.__name__, (original,), members)
    out = GOLDENS / ("gguf_lossy" if name in LOSSY else "gguf") / f"{name}.gguf"
    with torch.inference_mode():
        model(folder, gguf.LlamaFileType.ALL_F32, out, eager=True).write()


for case, options in CASES.items():
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / case
        path.mkdir()
        convert(case, options, path)

"""Writes goldens/llama_large_vocab: a tiny llama with the vocabulary of Gemma 3's multimodal models.

Needs torch, transformers, safetensors. The embedding repeats with a period of 97 rows and the head
is zero but for 1,500 rows spread over all ids, so that the repository's packs stay small; the
golden lists the logits of those rows, all others being zero.
"""
import json
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

OUT = Path(__file__).parents[1] / "llama_large_vocab"
VOCAB, PERIOD, ROWS, SEED, TOKENS = 262208, 97, 1500, 5593262, 10
SIZES = dict(hidden_size=4, intermediate_size=6, num_hidden_layers=2, num_attention_heads=2,
             num_key_value_heads=1, head_dim=2, max_position_embeddings=128)


def make_model():
    config = transformers.LlamaConfig(vocab_size=VOCAB, rms_norm_eps=1e-6, bos_token_id=1,
                                      eos_token_id=2, pad_token_id=0, tie_word_embeddings=False,
                                      **SIZES)
    torch.manual_seed(SEED)
    model = transformers.LlamaForCausalLM._from_config(config, attn_implementation="eager")
    model = model.float().eval()
    ids = torch.randperm(VOCAB)[:ROWS].sort().values
    ids[-1] = VOCAB - 1
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name:
                p.copy_(1 + 0.2 * torch.randn_like(p))
            elif "embed" in name:
                p.copy_(torch.randn(PERIOD, p.shape[1]).repeat(VOCAB // PERIOD + 1, 1)[:VOCAB])
            elif "lm_head" in name:
                p.zero_()
                p[ids] = torch.randn(ROWS, p.shape[1]) * 2
            else:
                p.copy_(torch.randn_like(p) * 1.3 / p.shape[-1] ** 0.5)
            p.copy_(p.half().float())
    return model, ids


def prompt_of(model, ids, length, generator):
    prompt = torch.randint(0, VOCAB, (length,), generator=generator).tolist()
    sequence, margins, first = list(prompt), [], None
    with torch.no_grad():
        for _ in range(TOKENS):
            logits = model(torch.tensor([sequence]), use_cache=False).logits[0, -1]
            first = logits if first is None else first
            best = logits.topk(2).values
            margins.append(float(best[0] - best[1]))
            sequence.append(int(logits.argmax()))
    assert int(first.count_nonzero()) == int(first[ids].count_nonzero())
    return {"ids": prompt,
            "last_logits": {"size": VOCAB, "at": ids.tolist(),
                            "values": [float(np.float32(x)) for x in first[ids]]},
            "greedy": sequence[length:], "min_margin": min(margins)}


def main():
    model, ids = make_model()
    generator = torch.Generator().manual_seed(SEED)
    prompts = [prompt_of(model, ids, length, generator) for length in (7, 19)]
    for prompt in prompts:
        assert prompt["min_margin"] > 2e-3, prompt["min_margin"]
    OUT.mkdir(exist_ok=True)
    tensors = {name: p.detach().half().contiguous() for name, p in model.named_parameters()}
    save_file(tensors, OUT / "model.safetensors", metadata={"format": "pt"})
    config = json.loads(model.config.to_json_string(use_diff=False))
    keep = ("architectures", "attention_bias", "bos_token_id", "eos_token_id", "head_dim", "hidden_act",
            "hidden_size", "intermediate_size", "max_position_embeddings", "mlp_bias", "model_type",
            "num_attention_heads", "num_hidden_layers", "num_key_value_heads", "pad_token_id",
            "rms_norm_eps", "rope_parameters", "tie_word_embeddings", "vocab_size")
    config = {key: config[key] for key in keep} | {"dtype": "float16",
                                                   "architectures": ["LlamaForCausalLM"]}
    (OUT / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    golden = {"family": "llama", "model_type": "llama",
              "reference": f"transformers {transformers.__version__}, torch {torch.__version__}, "
                           "float32 CPU eager",
              "seed": SEED, "storage": "float16",
              "notes": ["logits that are not listed are zero"], "prompts": prompts}
    (OUT / "golden.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()

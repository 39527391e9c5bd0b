"""Random weights at which every tensor of a model matters, with logits that are neither flat nor saturated."""

import math
import re

import numpy as np
import torch

FINAL_NORM = re.compile(
    r"^(model|backbone|transformer)\.(?:language_model\.)?(norm|norm_f|final_norm|final_layernorm|embedding_norm|ln_f)\.weight$")
OUT = ("o_proj", "out_proj", "down_proj", "output_linear", "linear_out", "dense.weight", "w2", "c_proj")
QK = ("q_proj", "k_proj", "qkv", "q_b_proj", "kv_b_proj")


def log_uniform(generator, shape, low, high):
    return torch.exp(torch.rand(shape, generator=generator) * math.log(high / low) + math.log(low))


def inverse_softplus(x):
    return x + torch.log(-torch.expm1(-x))


def special(leaf, name, shape, generator):
    """A value of the tensors that a recurrence or a router reads; None for all others."""
    if leaf == "a_log":
        return torch.log(log_uniform(generator, shape, 0.05, 4.0))
    if leaf == "dt_bias" or name.endswith("dt_proj.bias"):
        return inverse_softplus(log_uniform(generator, shape, 0.03, 1.0))
    if leaf == "recurrent_param":
        return inverse_softplus(log_uniform(generator, shape, 0.004, 0.2))
    if leaf == "d":
        return 1 + 0.5 * torch.randn(shape, generator=generator)
    if leaf == "sinks":
        return torch.randn(shape, generator=generator)
    if "e_score_correction_bias" in name:  # from 0 up: masked groups as -inf or as 0 then choose the same experts
        return 0.4 * torch.rand(shape, generator=generator)
    return None


def redrawn(name, tensor, generator, tied, gains):
    """A value at which `tensor` matters, whatever the library initialises it to."""
    low, shape = name.lower(), tensor.shape
    leaf = low.rsplit(".", 1)[-1]
    value = special(leaf, low, shape, generator)
    if value is not None:
        return value
    normal = torch.randn(shape, generator=generator)
    if "conv" in low and leaf == "weight" and tensor.dim() >= 2 and tensor.numel() // shape[0] <= 8:
        return normal * (1.1 / math.sqrt(shape[-1]))
    if tensor.dim() <= 1 or ("norm" in low and tensor.dim() == 2 and leaf == "weight"):
        if "bias" in leaf:
            return 0.3 * normal
        shift = 3.0 if tied and FINAL_NORM.match(low) else gains.get("post_norm", 0.0) if "post" in low else 0.0
        return tensor.float().mean().round() + 0.3 * normal + shift  # the mean is 0 for norms of the form 1 + w
    if "embed" in low or low.endswith("wte.weight"):
        return normal
    gain = 1.0
    if any(part in low for part in OUT):
        gain = gains.get("out", 2.5 if tied else 1.4)
    elif any(part in low for part in QK):
        gain = 1.5
    elif "router" in low or "gate.weight" in low:
        gain = 2.0
    return normal * (gain / math.sqrt(shape[-1]))


def redraw(model, seed, gains):
    generator = torch.Generator().manual_seed(seed)
    tied = bool(model.config.get_text_config().tie_word_embeddings)
    biases = [(n, b) for n, b in model.named_buffers() if "e_score_correction_bias" in n]
    for name, tensor in list(model.named_parameters()) + biases:
        tensor.data.copy_(redrawn(name, tensor, generator, tied, gains))


def scale_logits(model, seed, logits_of, deviation=3.0):
    """Scales the head, which is the embedding where they are tied, until the logits spread by `deviation`."""
    text = model.config.get_text_config()
    multiplier = max(float(getattr(text, key, 1.0) or 1.0) for key in ("embedding_multiplier", "scale_emb"))
    cap = getattr(text, "final_logit_softcapping", None) or getattr(text, "logits_soft_cap", None)
    model.get_input_embeddings().weight.data.div_(max(multiplier, 1.0))
    generator = torch.Generator().manual_seed(seed + 77)
    ids = torch.randint(3, text.vocab_size, (1, 24), generator=generator)
    for _ in range(4):
        logits = logits_of(model, ids)
        if cap:  # the spread before the cap
            logits = cap * torch.atanh((logits / cap).clamp(-0.99999, 0.99999))
        ratio = deviation / logits.std().item()
        if abs(ratio - 1) < 0.02:
            break
        model.get_output_embeddings().weight.data.mul_(float(np.clip(ratio, 0.05, 20)))

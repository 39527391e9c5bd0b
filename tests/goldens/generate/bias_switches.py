#!/usr/bin/env python3
"""bias_switches.json: what each switch of biases adds to each golden's model, in transformers.

    bias_switches.py        writes tests/goldens/bias_switches.json

For each golden of one family with a config.json that transformers reads, and each switch that any family has: the
number of parameters with the switch on, less those with it off. 0 says that the family ignores it. A switch
that the family's configuration class refuses to turn alone is left out.
"""
import json
import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoModelForCausalLM

GOLDENS = Path(__file__).resolve().parent.parent
SWITCHES = ("attention_bias", "mlp_bias", "qkv_bias", "use_qkv_bias", "attention_out_bias", "use_bias", "use_conv_bias",
            "mamba_conv_bias", "mamba_proj_bias", "projectors_bias", "conv_bias", "add_bias_linear")
NOT_ARGUMENTS = ("architectures", "dtype", "time_step_limit")
OTHERS_CODE = {"kimi_k2", "plamo2", "rwkv7"}  # not in transformers under this name


def parameters(config, **more):
    config = {key: value for key, value in {**config, **more}.items() if key not in NOT_ARGUMENTS}
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(config.pop("model_type"), **config))
    return sum(parameter.numel() for parameter in model.parameters())


def added(config, switch):
    try:
        return parameters(config, **{switch: True}) - parameters(config, **{switch: False})
    except StrictDataclassError:  # InternLM3 wants one value for its two switches
        return None


def main():
    transformers.logging.set_verbosity_error()
    found, families = {}, set()
    for path in sorted(GOLDENS.glob("*/config.json")):
        config = json.loads(path.read_text())
        family = config["model_type"]
        wrapped = "text_config" in config or "thinker_config" in config
        if family in families | OTHERS_CODE or wrapped or not path.with_name("golden.json").exists():
            continue
        families.add(family)
        found[path.parent.name] = {switch: added(config, switch) for switch in SWITCHES}
    lines = [f'"{name}": {json.dumps({key: value for key, value in row.items() if value is not None})}'
             for name, row in found.items()]
    (GOLDENS / "bias_switches.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


main()

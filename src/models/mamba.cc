// Mamba and Falcon-Mamba: layers of one Mamba-1 mixer each. References: transformers
// modeling_mamba.py, modeling_falcon_mamba.py; state-spaces/mamba for its own configs.
#include "models/families.h"
#include "models/mamba_config.h"

namespace continuo::models {
namespace {

class Mamba : public MambaBackbone {
 public:
  Mamba(const ConfigView& config, HasTensor has) : MambaBackbone(config, std::move(has)) {
    facts_.family = "mamba";
    const ConfigView ssm = read_ssm_cfg(config);
    tied_ = config.flag({"tie_word_embeddings", "tie_embeddings"}, true);
    if (const std::string act = config.text("hidden_act", "silu"); act != "silu" && act != "swish")
      config.fail("hidden_act: wanted \"silu\", got \"" + act + "\"");
    const int64_t expand = config.size("expand", ssm.size("expand", 2));
    mixer_.inner = config.size("intermediate_size", expand * facts_.hidden);
    mixer_.state_size = config.size("state_size", ssm.size("d_state", 16));
    mixer_.kernel = config.size("conv_kernel", ssm.size("d_conv", 4));
    mixer_.dt_rank = time_step_rank(config.has("time_step_rank") ? config : ssm);
    mixer_.conv_bias =
        config.flag("use_conv_bias", ssm.flag("conv_bias", true)) ? Bias::kYes : Bias::kNone;
    mixer_.proj_bias = config.flag("use_bias", ssm.flag("bias", false)) ? Bias::kYes : Bias::kNone;
    if (facts_.model_type == "falcon_mamba") {
      facts_.family = "falcon_mamba";
      mixer_.norm = ScanNorm::kPlain;
      mixer_.norm_eps = config.number("mixer_rms_eps", 1e-6);
    }
    facts_.mixers.assign(static_cast<size_t>(facts_.layers), "mamba");
  }

  Value layer(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index);
    const Value h = rms_norm(step, x, prefix + ".norm", norm_eps_);
    return x + mamba_mixer(step, h, prefix + ".mixer", state_name(index), mixer_);
  }

 private:
  int64_t time_step_rank(const ConfigView& view) const {
    const Keys keys{"time_step_rank", "dt_rank"};
    if (!view.has(keys) || view.is(keys, "auto")) return (facts_.hidden + 15) / 16;
    return view.size(keys);
  }

  MambaMixer mixer_;
};

}  // namespace

const Family kMamba{"mamba",
                    {"mamba"},
                    {"MambaForCausalLM", "MambaLMHeadModel"},
                    "Mamba-1",
                    "recurrent",
                    {"mamba"},
                    "also the checkpoints of state-spaces/mamba, with `ssm_cfg`",
                    make_model<Mamba>};

const Family kFalconMamba{"falcon_mamba",
                          {"falcon_mamba"},
                          {"FalconMambaForCausalLM"},
                          "Mamba-1 with normed dt, B and C",
                          "recurrent",
                          {"falcon_mamba"},
                          "",
                          make_model<Mamba>};

}  // namespace continuo::models

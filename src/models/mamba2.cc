// Mamba-2: layers of one Mamba-2 mixer each. References: transformers modeling_mamba2.py, with the
// gated norm grouped as state-spaces/mamba has it.
#include <fmt/format.h>

#include <algorithm>

#include "models/families.h"
#include "models/mamba_config.h"

namespace continuo::models {
namespace {

class Mamba2 : public MambaBackbone {
 public:
  Mamba2(const ConfigView& config, HasTensor has) : MambaBackbone(config, std::move(has)) {
    facts_.family = "mamba2";
    const ConfigView ssm = read_ssm_cfg(config);
    // Hugging Face's default is untied, that of Mamba's own library tied.
    tied_ = config.flag({"tie_word_embeddings", "tie_embeddings"}, config.has("ssm_cfg"));
    if (const std::string act = config.text("hidden_act", "silu"); act != "silu" && act != "swish")
      config.fail("hidden_act: wanted \"silu\", got \"" + act + "\"");
    const int64_t inner = config.size("expand", ssm.size("expand", 2)) * facts_.hidden;
    mixer_.head_dim = config.size("head_dim", ssm.size("headdim", 64));
    mixer_.heads = config.size("num_heads", std::max<int64_t>(1, inner / mixer_.head_dim));
    if (mixer_.heads * mixer_.head_dim != inner)
      config.fail(
          fmt::format("wanted num_heads * head_dim = expand * hidden_size = {}, got {} * {}", inner,
                      mixer_.heads, mixer_.head_dim));
    mixer_.groups = config.size("n_groups", ssm.size("ngroups", config.has("ssm_cfg") ? 1 : 8));
    mixer_.state_size = config.size("state_size", ssm.size("d_state", 128));
    mixer_.kernel = config.size("conv_kernel", ssm.size("d_conv", 4));
    mixer_.conv_bias =
        config.flag("use_conv_bias", ssm.flag("conv_bias", true)) ? Bias::kYes : Bias::kNone;
    mixer_.in_bias = mixer_.out_bias =
        config.flag("use_bias", ssm.flag("bias", false)) ? Bias::kYes : Bias::kNone;
    mixer_.norm_eps = norm_eps_;
    if (!ssm.flag("rmsnorm", true))
      mixer_.norm = MixerNorm::kNone;
    else if (ssm.flag("norm_before_gate", false))
      mixer_.norm = MixerNorm::kBeforeGate;
    read_time_step_limit(config.has("time_step_limit") ? config : ssm, mixer_);
    facts_.mixers.assign(static_cast<size_t>(facts_.layers), "mamba2");
  }

  Value layer(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index);
    const Value h = rms_norm(step, x, prefix + ".norm", norm_eps_);
    return x + mamba2_mixer(step, h, prefix + ".mixer", state_name(index), mixer_);
  }

 private:
  Mamba2Mixer mixer_;
};

}  // namespace

const Family kMamba2{"mamba2",
                     {"mamba2"},
                     {"Mamba2ForCausalLM"},
                     "Mamba-2",
                     "recurrent",
                     {"mamba2", "mamba2_dtlimit"},
                     "also the checkpoints of state-spaces/mamba, with `ssm_cfg`",
                     make_model<Mamba2>};

}  // namespace continuo::models

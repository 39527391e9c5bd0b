// Jamba: Mamba-1 and attention layers without positions, dense and expert feed-forward layers by
// period. Reference: transformers modeling_jamba.py.
#include <fmt/format.h>

#include "models/families.h"
#include "models/mamba_config.h"
#include "ops/moe.h"

namespace continuo::models {
namespace {

// Layers offset, offset + period, ...
struct Periodic {
  int64_t period = 1, offset = 0;
  bool holds(int64_t index) const { return index % period == offset; }
};

Periodic read_periodic(const ConfigView& config, const std::string& what, Periodic fallback) {
  const std::string period = what + "_layer_period", offset = what + "_layer_offset";
  const Periodic layers{config.size(period.c_str(), fallback.period),
                        config.integer(offset.c_str(), fallback.offset)};
  if (layers.offset < 0 || layers.offset >= layers.period)
    config.fail(
        fmt::format("{}: wanted 0 <= offset < {}, got {}", offset, layers.period, layers.offset));
  return layers;
}

class Jamba : public Model {
 public:
  Jamba(const ConfigView& config, HasTensor has) : Model(config, std::move(has)) {
    facts_.family = "jamba";
    attention_ = read_attention(config, facts_.hidden, 8);
    attention_.options.window = config.has("sliding_window") ? config.size("sliding_window") : 0;
    attention_layers_ = read_periodic(config, "attn", {8, 4});
    expert_layers_ = read_periodic(config, "expert", {2, 1});
    experts_ = config.size("num_experts", 16);
    router_.top_k = config.size("num_experts_per_tok", 2);
    inner_ = config.size("intermediate_size");
    act_ = activation(config.text("hidden_act", "silu"));
    mixer_.inner = config.size("mamba_expand", 2) * facts_.hidden;
    mixer_.state_size = config.size("mamba_d_state", 16);
    mixer_.kernel = config.size("mamba_d_conv", 4);
    mixer_.dt_rank = config.is("mamba_dt_rank", "auto")
                         ? (facts_.hidden + 15) / 16
                         : config.size("mamba_dt_rank", (facts_.hidden + 15) / 16);
    mixer_.conv_bias = config.flag("mamba_conv_bias", true) ? Bias::kYes : Bias::kNone;
    mixer_.proj_bias = config.flag("mamba_proj_bias", false) ? Bias::kYes : Bias::kNone;
    mixer_.norm = ScanNorm::kWeighted;
    mixer_.norm_eps = norm_eps_;
    for (int64_t i = 0; i < facts_.layers; ++i)
      facts_.mixers.push_back(attention_layers_.holds(i) ? "attention" : "mamba");
  }

  Value layer(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index), state = state_name(index);
    const Value h = rms_norm(step, x, prefix + ".input_layernorm", norm_eps_);
    x = x + (attention_layers_.holds(index)
                 ? self_attention(step, h, prefix + ".self_attn", state, attention_)
                 : mamba_mixer(step, h, prefix + ".mamba", state, mixer_));
    const Value m = rms_norm(step, x, prefix + ".pre_ff_layernorm", norm_eps_);
    const std::string ff = prefix + ".feed_forward";
    return x + (experts_ > 1 && expert_layers_.holds(index) ? experts(step, m, ff)
                                                            : gated_mlp(step, m, ff, inner_, act_));
  }

  Value final_norm(Step& step, Value x) const override {
    return rms_norm(step, x, prefix_ + "final_layernorm", norm_eps_);
  }

 private:
  // Weights are the softmax over all experts, not divided by their sum.
  Value experts(Step& step, Value x, const std::string& prefix) const {
    const Value rows = reshape(x, {-1, facts_.hidden});
    const Routes routes = route(linear(step, rows, prefix + ".router", experts_), router_);
    const ExpertBank bank =
        gated_experts(step, prefix + ".experts", experts_, facts_.hidden, inner_, act_);
    return reshape(mix_experts(step, rows, routes, bank), x.shape());
  }

  SelfAttention attention_;
  MambaMixer mixer_;
  Periodic attention_layers_, expert_layers_;
  Router router_;
  int64_t experts_ = 0, inner_ = 0;
  Activation act_;
};

}  // namespace

const Family kJamba{"jamba",
                    {"jamba"},
                    {"JambaForCausalLM"},
                    "Mamba-1, attention",
                    "recurrent, kv",
                    {"jamba", "jamba_dense", "jamba_dense_bf16"},
                    "",
                    make_model<Jamba>};

}  // namespace continuo::models

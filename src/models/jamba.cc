// Jamba: Mamba-1 and attention layers without positions, dense and expert feed-forward layers by
// period. Reference: transformers modeling_jamba.py.
#include <fmt/format.h>

#include "models/config_defaults.h"
#include "models/decoder.h"
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

class Jamba : public Decoder {
 public:
  Jamba(const ConfigView& config, HasTensor has) : Decoder(config, std::move(has)) {
    facts_.family = "jamba";
    attention_.bias = attention_.out_bias = Bias::kNone;  // whatever the config says
    names_ = {"feed_forward", "pre_ff_layernorm", "final_layernorm"};
    const int64_t window = read_window(config);
    for (LayerAttention& layer : layers_) layer = {window, false};
    attention_layers_ = read_periodic(config, "attn", {8, 4});
    expert_layers_ = read_periodic(config, "expert", {2, 1});
    experts_ = config.optional_size("num_experts", 16);
    if (experts_ > 1) router_.top_k = config.size("num_experts_per_tok", 2);
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
      facts_.mixers[size_t(i)] = attention_layers_.holds(i) ? "attention" : "mamba";
  }

 private:
  Value attend(Step& step, int64_t index, Value x) const override {
    if (attention_layers_.holds(index)) return Decoder::attend(step, index, x);
    return mamba_mixer(step, x, layer_prefix(index) + ".mamba", state_name(index), mixer_);
  }

  Value feed_forward(Step& step, int64_t index, Value x) const override {
    if (experts_ < 2 || !expert_layers_.holds(index)) return Decoder::feed_forward(step, index, x);
    return experts(step, x, layer_prefix(index) + ".feed_forward");
  }

  // Weights are the softmax over all experts, not divided by their sum.
  Value experts(Step& step, Value x, const std::string& prefix) const {
    const Value rows = reshape(x, {-1, facts_.hidden});
    const Routes routes = route(linear(step, rows, prefix + ".router", experts_), router_);
    const ExpertBank bank =
        gated_experts(step, prefix + ".experts", experts_, facts_.hidden, inner_, act_);
    return reshape(mix_experts(step, rows, routes, bank), x.shape());
  }

  MambaMixer mixer_;
  Periodic attention_layers_, expert_layers_;
  Router router_;
  int64_t experts_ = 0;
};

constexpr char kDefaults[] = R"({"num_key_value_heads": 8})";

}  // namespace

const Family kJamba{"jamba",
                    {"jamba"},
                    {"JambaForCausalLM"},
                    "Mamba-1, attention",
                    "recurrent, kv",
                    {"jamba", "jamba_dense", "jamba_dense_bf16"},
                    "",
                    make_model_with<Jamba, kDefaults>};

}  // namespace continuo::models

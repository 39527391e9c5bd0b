// gpt-oss: alternating windows, attention sinks, biased experts with a clamped SwiGLU.
// Reference: transformers modeling_gpt_oss.py.
#include <fmt/format.h>

#include "models/config_defaults.h"
#include "models/decoder.h"
#include "models/families.h"
#include "ops/moe.h"

namespace continuo::models {
namespace {

class GptOss : public Decoder {
 public:
  GptOss(const ConfigView& config, HasTensor has)
      : Decoder(config, std::move(has), {.theta = 150000}) {
    facts_.family = "gpt_oss";
    norm_eps_ = config.number("rms_norm_eps", 1e-5);
    set_windows(config, read_window(config), [](int64_t index) { return index % 2 == 0; });
    if (!config.has("rope_parameters") && !config.has("rope_scaling")) {
      rope_.type = "yarn";
      rope_.yarn = {
          .theta = rope_.theta, .factor = 32, .original_positions = 4096, .truncate = false};
    }
    experts_ = config.size({"num_local_experts", "num_experts"}, 128);
    router_.top_k = config.size({"num_experts_per_tok", "experts_per_token"}, 4);
    router_.scoring = Scoring::kSoftmaxOfChosen;
    alpha_ = config.number("swiglu_alpha", 1.702);
    limit_ = config.number("swiglu_limit", 7.0);
    if (!(limit_ > 0))
      config.fail(fmt::format("swiglu_limit: wanted a positive number, got {}", limit_));
  }

 private:
  SelfAttention attention_block(Step& step, int64_t index) const override {
    SelfAttention block = Decoder::attention_block(step, index);
    block.options.sinks = step.weight(attention_prefix(index) + ".sinks", {block.heads});
    return block;
  }

  // gate_up:[n,2*inner], gate and up columns in turn -> [n,inner].
  Value swiglu(Value gate_up) const {
    const int64_t n = gate_up.dim(0);
    const Value pairs = reshape(gate_up, {n, inner_, 2});
    const auto part = [&](int64_t i) { return reshape(slice(pairs, 2, i, i + 1), {n, inner_}); };
    const Value gate = minimum(part(0), constant(gate_up.graph(), DType::kF32, limit_));
    const Value up = clamp(part(1), -limit_, limit_);
    return (up + 1.0) * gate * sigmoid(gate * alpha_);
  }

  Value feed_forward(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index) + ".mlp";
    const int64_t E = experts_, H = facts_.hidden, N = step.rows() * step.columns();
    const std::string bank_prefix = prefix + ".experts.";
    ExpertBank bank;
    bank.in = {expert_matrix_stacked(step, bank_prefix + "gate_up_proj", E, H, 2 * inner_, true)};
    bank.out = expert_matrix_stacked(step, bank_prefix + "down_proj", E, inner_, H, true);
    bank.in_bias = {step.weight(bank_prefix + "gate_up_proj_bias", {E, 2 * inner_})};
    bank.out_bias = step.weight(bank_prefix + "down_proj_bias", {E, H});
    bank.combine = [this](const std::vector<Value>& inner) { return swiglu(inner[0]); };
    const Value lines = reshape(x, {N, H});
    Routes routes = route(linear(step, lines, prefix + ".router", E, Bias::kYes), router_);
    routes.valid = reshape(step.valid(), {N});
    return reshape(mix_experts(step, lines, routes, bank), x.shape());
  }

  int64_t experts_ = 0;
  Router router_;
  double alpha_ = 0, limit_ = 0;
};

constexpr char kDefaults[] = R"({"head_dim": 64, "num_key_value_heads": 8, "attention_bias": true,
    "sliding_window": 128})";

}  // namespace

const Family kGptOss{"gpt_oss",
                     {"gpt_oss"},
                     {"GptOssForCausalLM"},
                     "attention with sinks, sliding window",
                     "kv",
                     {"gpt_oss", "gpt_oss_mxfp4"},
                     "",
                     make_model_with<GptOss, kDefaults>};

}  // namespace continuo::models

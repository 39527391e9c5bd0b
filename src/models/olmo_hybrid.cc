// OLMo-Hybrid: gated delta nets with norms before them, full attention with norms after it.
// Reference: transformers modeling_olmo_hybrid.py.
#include <fmt/format.h>

#include <cmath>

#include "models/families.h"
#include "models/layer_types.h"
#include "ops/delta_net.h"

namespace continuo::models {
namespace {

constexpr double kGatedNormEps = 1e-5;  // fixed in the reference, whatever rms_norm_eps says

class OlmoHybrid : public Model {
 public:
  OlmoHybrid(const ConfigView& config, HasTensor has) : Model(config, std::move(has)) {
    facts_.family = "olmo_hybrid";
    attention_.heads = config.size("num_attention_heads");
    attention_.kv_heads = config.size("num_key_value_heads", attention_.heads);
    attention_.head_dim = config.size("head_dim", facts_.hidden / attention_.heads);
    attention_.options.scale = 1 / std::sqrt(double(attention_.head_dim));
    attention_.bias = attention_.out_bias =
        config.flag("attention_bias", false) ? Bias::kYes : Bias::kNone;
    // Without a theta there are no positions at all.
    has_rope_ = config.has("rope_theta") || config.object("rope_parameters").has("rope_theta");
    if (has_rope_) rope_ = read_rope(config, attention_.head_dim);
    facts_.rope_switches_at = rope_.switches_at();
    read_delta_net(config);
    types_ = read_layer_types(config, "layer_types", facts_.layers,
                              {"linear_attention", "full_attention"});
    if (types_.empty()) types_ = default_types();
    for (const std::string& type : types_)
      facts_.mixers.push_back(type == "full_attention" ? "attention" : "gated delta net");
    inner_ = config.size("intermediate_size");
    act_ = activation(config.text("hidden_act", "silu"));
  }

  Value layer(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index);
    if (types_[size_t(index)] == "full_attention") {
      x = x + rms_norm(step, full_attention(step, index, x), prefix + ".post_attention_layernorm",
                       norm_eps_);
      const Value m = gated_mlp(step, x, prefix + ".mlp", inner_, act_);
      return x + rms_norm(step, m, prefix + ".post_feedforward_layernorm", norm_eps_);
    }
    const bool own_names = step.has(prefix + ".attention_layer_norm.weight");
    const auto norm = [&](Value h, const char* own, const char* usual) {
      return rms_norm(step, h, prefix + (own_names ? own : usual), norm_eps_);
    };
    x = x + linear_attention(step, index, norm(x, ".attention_layer_norm", ".input_layernorm"));
    const Value m = norm(x, ".feedforward_layer_norm", ".post_attention_layernorm");
    return x + gated_mlp(step, m, prefix + ".mlp", inner_, act_);
  }

 private:
  void read_delta_net(const ConfigView& config) {
    net_.key_heads = config.size("linear_num_key_heads", attention_.heads);
    net_.value_heads = config.size("linear_num_value_heads", attention_.heads);
    net_.key_dim =
        config.size("linear_key_head_dim", int64_t(0.75 * double(facts_.hidden)) / net_.key_heads);
    net_.value_dim = config.size("linear_value_head_dim", 2 * net_.key_dim);
    net_.kernel = config.size("linear_conv_kernel_dim", 4);
    net_.beta_scale = config.flag("linear_allow_neg_eigval", true) ? 2 : 1;
    net_.norm = "o_norm";
    net_.norm_eps = kGatedNormEps;
    if (net_.value_heads % net_.key_heads != 0)
      config.fail(
          fmt::format("wanted linear_num_value_heads a multiple of linear_num_key_heads, "
                      "got {} and {}",
                      net_.value_heads, net_.key_heads));
  }

  std::vector<std::string> default_types() const {
    std::vector<std::string> types = every_nth_full(facts_.layers, 4);
    if (facts_.layers < 4) types.back() = "full_attention";
    return types;
  }

  Value full_attention(Step& step, int64_t index, Value x) const {
    const std::string prefix = layer_prefix(index) + ".self_attn";
    SelfAttention block = attention_;
    if (has_rope_) block.rope = rope_.rope(step.shape().limit);
    // The norms run over all heads at once.
    block.qk_norm = [&](Value heads, char which) {
      const Value flat = reshape(heads, {heads.dim(0), heads.dim(1), -1});
      return reshape(rms_norm(step, flat, prefix + "." + which + "_norm", norm_eps_),
                     heads.shape());
    };
    return self_attention(step, x, prefix, state_name(index), block);
  }

  Value linear_attention(Step& step, int64_t index, Value x) const {
    const std::string prefix = layer_prefix(index) + ".linear_attn", state = state_name(index);
    const auto project = [&](const char* name, int64_t out) {
      return linear(step, x, prefix + name, out);
    };
    const std::vector<Value> qkv =
        short_convs(step,
                    {project(".q_proj", net_.keys()), project(".k_proj", net_.keys()),
                     project(".v_proj", net_.values())},
                    {prefix + ".q_conv1d", prefix + ".k_conv1d", prefix + ".v_conv1d"}, net_.kernel,
                    state + ".conv");
    const DeltaNetInputs inputs{qkv[0],
                                qkv[1],
                                qkv[2],
                                project(".a_proj", net_.value_heads),
                                project(".b_proj", net_.value_heads),
                                project(".g_proj", net_.values())};
    return linear(step, delta_net(step, inputs, prefix, state, net_), prefix + ".o_proj",
                  facts_.hidden);
  }

  SelfAttention attention_;
  RopeConfig rope_;
  bool has_rope_ = false;
  DeltaNet net_;
  std::vector<std::string> types_;
  int64_t inner_ = 0;
  Activation act_;
};

}  // namespace

const Family kOlmoHybrid{"olmo_hybrid",
                         {"olmo_hybrid"},
                         {"OlmoHybridForCausalLM"},
                         "gated delta net, attention",
                         "recurrent (conv tail, delta state), kv",
                         {"olmo_hybrid"},
                         "",
                         make_model<OlmoHybrid>};

}  // namespace continuo::models

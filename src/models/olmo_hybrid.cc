// OLMo-Hybrid: gated delta nets with norms before them, full attention with norms after it.
// Reference: transformers modeling_olmo_hybrid.py.
#include <fmt/format.h>

#include "models/decoder.h"
#include "models/families.h"
#include "models/layer_types.h"
#include "ops/delta_net.h"

namespace continuo::models {
namespace {

constexpr double kGatedNormEps = 1e-5;  // fixed in the reference, whatever rms_norm_eps says

class OlmoHybrid : public Decoder {
 public:
  OlmoHybrid(const ConfigView& config, HasTensor has) : Decoder(config, std::move(has)) {
    facts_.family = "olmo_hybrid";
    qk_norm_ = QkNorm::kAllHeads;
    // Without a theta there are no positions at all.
    if (!config.has("rope_theta") && !config.object("rope_parameters").has("rope_theta"))
      for (LayerAttention& layer : layers_) layer.rotates = false;
    read_delta_net(config);
    types_ = read_layer_types(config, "layer_types", facts_.layers,
                              {"linear_attention", "full_attention"});
    if (types_.empty()) types_ = default_types();
    for (size_t i = 0; i < types_.size(); ++i)
      if (types_[i] != "full_attention") facts_.mixers[i] = "gated delta net";
  }

  Value layer(Step& step, int64_t index, Value x) const override {
    if (types_[size_t(index)] == "full_attention") return post_norm_layer(step, index, x);
    const std::string prefix = layer_prefix(index);
    const bool own_names = step.has(prefix + ".attention_layer_norm.weight");
    const auto normed = [&](Value h, const char* own, const char* usual) {
      return norm(step, h, prefix + (own_names ? own : usual));
    };
    x = x + linear_attention(step, index, normed(x, ".attention_layer_norm", ".input_layernorm"));
    return x + feed_forward(step, index,
                            normed(x, ".feedforward_layer_norm", ".post_attention_layernorm"));
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

  DeltaNet net_;
  std::vector<std::string> types_;
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

// Granite 4: Mamba-2 and attention layers, each with experts beside a shared MLP (or that MLP
// alone), and Granite's multipliers. Reference: transformers modeling_granitemoehybrid.py.
#include "models/families.h"
#include "models/mamba_config.h"
#include "ops/moe.h"

namespace continuo::models {
namespace {

class GraniteMoeHybrid : public Model {
 public:
  GraniteMoeHybrid(const ConfigView& config, HasTensor has) : Model(config, std::move(has)) {
    facts_.family = "granitemoehybrid";
    attention_ = read_attention(config, facts_.hidden, 0);
    attention_.options.scale = config.number("attention_multiplier", 1);
    if (config.is("position_embedding_type", "rope")) {
      rope_ = read_rope(config, attention_.head_dim);
      facts_.rope_switches_at = rope_->switches_at();
    } else if (config.has("position_embedding_type") &&
               !config.is("position_embedding_type", "nope")) {
      config.fail("position_embedding_type: wanted \"rope\", \"nope\" or null");
    }
    mixer_ = read_mamba2(config, config.size("mamba_expand", 2) * facts_.hidden, 256);
    mixer_.norm_eps = norm_eps_;
    experts_ = config.integer("num_local_experts", 8);
    router_.top_k = config.size("num_experts_per_tok", 2);
    router_.scoring = Scoring::kSoftmaxOfChosen;
    inner_ = config.size("intermediate_size", 11008);
    shared_inner_ = config.size("shared_intermediate_size", 1024);
    act_ = activation(config.text("hidden_act", "silu"));
    embedding_by_ = config.number("embedding_multiplier", 1);
    residual_by_ = config.number("residual_multiplier", 1);
    logits_over_ = config.number("logits_scaling", 1);
    if (logits_over_ == 0) config.fail("logits_scaling: wanted a number other than 0");
    std::vector<std::string> kinds = read_layer_kinds(config, facts_.layers);
    if (kinds.empty()) kinds.assign(static_cast<size_t>(facts_.layers), "mamba");
    for (const std::string& kind : kinds) {
      if (kind != "mamba" && kind != "attention")
        config.fail("layer type \"" + kind + "\": wanted mamba or attention");
      facts_.mixers.push_back(kind == "mamba" ? "mamba2" : "attention");
    }
  }

  Value embed(Step& step) const override { return Model::embed(step) * embedding_by_; }

  Value layer(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index);
    const Value h = rms_norm(step, x, prefix + ".input_layernorm", norm_eps_);
    x = x + mix(step, h, index) * residual_by_;
    const Value m = rms_norm(step, x, prefix + ".post_attention_layernorm", norm_eps_);
    Value y = fused_gated_mlp(step, m, prefix + ".shared_mlp.input_linear",
                              prefix + ".shared_mlp.output_linear", shared_inner_, act_);
    if (experts_ > 0) y = y + experts(step, m, prefix + ".block_sparse_moe");
    return x + y * residual_by_;
  }

  Value head(Step& step, Value x) const override { return Model::head(step, x) / logits_over_; }

 private:
  Value mix(Step& step, Value x, int64_t index) const {
    const std::string prefix = layer_prefix(index), state = state_name(index);
    if (facts_.mixers[static_cast<size_t>(index)] == "mamba2")
      return mamba2_mixer(step, x, prefix + ".mamba", state, mixer_);
    SelfAttention block = attention_;
    if (rope_) block.rope = rope_->rope(step.shape().limit);
    return self_attention(step, x, prefix + ".self_attn", state, block);
  }

  Value experts(Step& step, Value x, const std::string& prefix) const {
    const Value rows = reshape(x, {-1, facts_.hidden});
    const Routes routes = route(linear(step, rows, prefix + ".router.layer", experts_), router_);
    const ExpertBank bank{{expert_matrix_stacked(step, prefix + ".input_linear.weight", experts_,
                                                 facts_.hidden, 2 * inner_, false)},
                          expert_matrix_stacked(step, prefix + ".output_linear.weight", experts_,
                                                inner_, facts_.hidden, false),
                          {},
                          {},
                          [this](const std::vector<Value>& fused) {
                            const std::vector<Value> parts = split(fused[0], -1, {inner_, inner_});
                            return act_(parts[0]) * parts[1];
                          }};
    return reshape(mix_experts(step, rows, routes, bank), x.shape());
  }

  SelfAttention attention_;
  std::optional<RopeConfig> rope_;
  Mamba2Mixer mixer_;
  Router router_;
  int64_t experts_ = 0, inner_ = 0, shared_inner_ = 0;
  double embedding_by_ = 1, residual_by_ = 1, logits_over_ = 1;
  Activation act_;
};

}  // namespace

const Family kGraniteMoeHybrid{"granitemoehybrid",
                               {"granitemoehybrid"},
                               {"GraniteMoeHybridForCausalLM"},
                               "Mamba-2, attention",
                               "recurrent, kv",
                               {"granitemoehybrid"},
                               "",
                               make_model<GraniteMoeHybrid>};

}  // namespace continuo::models

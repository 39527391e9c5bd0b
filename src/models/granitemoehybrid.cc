// Granite 4: Mamba-2 and attention layers, each with experts beside a shared MLP (or that MLP
// alone), and Granite's multipliers. Reference: transformers modeling_granitemoehybrid.py.
#include "models/config_defaults.h"
#include "models/decoder.h"
#include "models/families.h"
#include "models/mamba_config.h"
#include "ops/moe.h"

namespace continuo::models {
namespace {

class GraniteMoeHybrid : public Decoder {
 public:
  GraniteMoeHybrid(const ConfigView& config, HasTensor has) : Decoder(config, std::move(has)) {
    facts_.family = "granitemoehybrid";
    attention_.options.scale = config.number("attention_multiplier", 1);
    read_rotation(config);
    mixer_ = read_mamba2(config, config.size("mamba_expand", 2) * facts_.hidden, 256);
    mixer_.norm_eps = norm_eps_;
    experts_ = config.optional_size("num_local_experts", 8);
    if (experts_ > 0) router_.top_k = config.size("num_experts_per_tok", 2);
    router_.scoring = Scoring::kSoftmaxOfChosen;
    shared_inner_ = config.size("shared_intermediate_size", 1024);
    embedding_by_ = config.number("embedding_multiplier", 1);
    residual_by_ = config.number("residual_multiplier", 1);
    logits_over_ = config.number("logits_scaling", 1);
    if (logits_over_ == 0) config.fail("logits_scaling: wanted a number other than 0");
    std::vector<std::string> kinds = read_layer_kinds(config, facts_.layers);
    if (kinds.empty()) kinds.assign(static_cast<size_t>(facts_.layers), "mamba");
    for (size_t i = 0; i < kinds.size(); ++i) {
      if (kinds[i] != "mamba" && kinds[i] != "attention")
        config.fail("layer type \"" + kinds[i] + "\": wanted mamba or attention");
      facts_.mixers[i] = kinds[i] == "mamba" ? "mamba2" : "attention";
    }
  }

  Value embed(Step& step) const override { return Decoder::embed(step) * embedding_by_; }

  Value head(Step& step, Value x) const override { return Decoder::head(step, x) / logits_over_; }

 private:
  void read_rotation(const ConfigView& config) {
    const char* const kKey = "position_embedding_type";
    if (config.has(kKey) && !config.is(kKey, "rope") && !config.is(kKey, "nope"))
      config.fail("position_embedding_type: wanted \"rope\", \"nope\" or null");
    for (LayerAttention& layer : layers_) layer.rotates = config.is(kKey, "rope");
  }

  Value attend(Step& step, int64_t index, Value x) const override {
    const bool recurrent = facts_.mixers[static_cast<size_t>(index)] == "mamba2";
    const Value y =
        recurrent ? mamba2_mixer(step, x, layer_prefix(index) + ".mamba", state_name(index), mixer_)
                  : Decoder::attend(step, index, x);
    return y * residual_by_;
  }

  Value feed_forward(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index);
    Value y = fused_gated_mlp(step, x, prefix + ".shared_mlp.input_linear",
                              prefix + ".shared_mlp.output_linear", shared_inner_, act_);
    if (experts_ > 0) y = y + experts(step, x, prefix + ".block_sparse_moe");
    return y * residual_by_;
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

  Mamba2Mixer mixer_;
  Router router_;
  int64_t experts_ = 0, shared_inner_ = 0;
  double embedding_by_ = 1, residual_by_ = 1, logits_over_ = 1;
};

constexpr char kDefaults[] = R"({"intermediate_size": 11008})";

}  // namespace

const Family kGraniteMoeHybrid{"granitemoehybrid",
                               {"granitemoehybrid"},
                               {"GraniteMoeHybridForCausalLM"},
                               "Mamba-2, attention",
                               "recurrent, kv",
                               {"granitemoehybrid", "granitemoehybrid_dense"},
                               "",
                               make_model_with<GraniteMoeHybrid, kDefaults>};

}  // namespace continuo::models

// Nemotron-H: one norm and one mixer a layer: Mamba-2, attention without positions, an ungated
// MLP, or experts. Reference: transformers modeling_nemotron_h.py.
#include <fmt/format.h>

#include <cmath>

#include "models/families.h"
#include "models/mamba_config.h"
#include "models/router_config.h"
#include "ops/moe.h"

namespace continuo::models {
namespace {

class NemotronH : public MambaBackbone {
 public:
  NemotronH(const ConfigView& config, HasTensor has) : MambaBackbone(config, std::move(has)) {
    facts_.family = "nemotron_h";
    tied_ = false;  // the reference ties nothing, whatever the config says
    attention_ = read_attention(config, facts_.hidden, 8);
    attention_.head_dim = config.size({"head_dim", "attention_head_dim"}, 128);
    attention_.options.scale = 1 / std::sqrt(double(attention_.head_dim));
    attention_.options.window = config.optional_size("sliding_window", 0);
    read_mixer(config);
    inner_ = config.size("intermediate_size", 21504);
    mlp_bias_ = config.flag("mlp_bias", false) ? Bias::kYes : Bias::kNone;
    act_ = activation(config.text("mlp_hidden_act", "relu2"));
    kinds_ = read_layer_kinds(config, facts_.layers);
    if (kinds_.empty()) config.fail("wanted layers_block_type or hybrid_override_pattern");
    for (const std::string& kind : kinds_) {
      if (kind == "hybrid") config.fail("layer type \"hybrid\" is unknown here");
      if (kind == "moe" && experts_ == 0) read_experts(config);
      facts_.mixers.push_back(kind == "mamba" ? "mamba2" : kind == "attention" ? kind : "none");
    }
  }

  Value layer(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index), mixer = prefix + ".mixer";
    const std::string& kind = kinds_[static_cast<size_t>(index)];
    const Value h = rms_norm(step, x, prefix + ".norm", norm_eps_);
    if (kind == "mamba") return x + mamba2_mixer(step, h, mixer, state_name(index), mixer_);
    if (kind == "attention")
      return x + self_attention(step, h, mixer, state_name(index), attention_);
    if (kind == "moe") return x + experts(step, h, mixer);
    return x + mlp(step, h, mixer, inner_);
  }

 private:
  void read_mixer(const ConfigView& config) {
    if (const std::string act = config.text("mamba_hidden_act", "silu"); act != "silu")
      config.fail("mamba_hidden_act: wanted \"silu\", got \"" + act + "\"");
    // The heads' width counts, whatever `expand` says.
    mixer_.heads = config.size("mamba_num_heads", 128);
    mixer_.head_dim = config.size("mamba_head_dim", 64);
    mixer_.groups = config.size({"mamba_n_groups", "n_groups"}, 8);
    mixer_.state_size = config.size("ssm_state_size", 128);
    mixer_.kernel = config.size({"mamba_d_conv", "conv_kernel"}, 4);
    mixer_.conv_bias =
        config.flag({"mamba_conv_bias", "use_conv_bias"}, true) ? Bias::kYes : Bias::kNone;
    // The reference has mamba_proj_bias and attention_bias in its config and reads neither.
    mixer_.in_bias = mixer_.out_bias = config.flag("use_bias", false) ? Bias::kYes : Bias::kNone;
    mixer_.norm_eps = norm_eps_;
    read_time_step_limit(config, mixer_);
  }

  void read_experts(const ConfigView& config) {
    experts_ = config.size({"n_routed_experts", "num_local_experts"}, 8);
    expert_inner_ = config.size("moe_intermediate_size", 7688);
    shared_experts_ = config.optional_size("n_shared_experts", 1);
    if (shared_experts_ > 0)
      shared_inner_ = config.size("moe_shared_expert_intermediate_size", 7688);
    latent_ = config.optional_size("moe_latent_size", 0);
    router_.scoring = Scoring::kSigmoid;
    router_.top_k = config.size("num_experts_per_tok", 2);
    read_groups(config, {"n_group", "topk_group"}, {}, experts_, router_);
    router_.normalise = config.flag("norm_topk_prob", true);
    router_.scale = config.number("routed_scaling_factor", 1);
  }

  Value mlp(Step& step, Value x, const std::string& prefix, int64_t inner) const {
    return plain_mlp(step, x, prefix + ".up_proj", prefix + ".down_proj", inner, act_, mlp_bias_);
  }

  // Experts may work in a narrower space; router and shared expert see the layer's input.
  Value experts(Step& step, Value x, const std::string& prefix) const {
    const Value rows = reshape(x, {-1, facts_.hidden});
    Router router = router_;
    router.choice_bias = step.weight(prefix + ".gate.e_score_correction_bias", {experts_});
    const Routes routes = route(linear(step, rows, prefix + ".gate", experts_), router);
    const int64_t width = latent_ > 0 ? latent_ : facts_.hidden;
    const ExpertBank bank{{matrix(step, prefix, "up_proj", width, expert_inner_)},
                          matrix(step, prefix, "down_proj", expert_inner_, width),
                          {},
                          {},
                          [this](const std::vector<Value>& up) { return act_(up[0]); }};
    const Value in =
        latent_ > 0 ? linear(step, rows, prefix + ".fc1_latent_proj", width, mlp_bias_) : rows;
    Value y = mix_experts(step, in, routes, bank);
    if (latent_ > 0) y = linear(step, y, prefix + ".fc2_latent_proj", facts_.hidden, mlp_bias_);
    y = reshape(y, x.shape());
    return shared_experts_ > 0 ? y + mlp(step, x, prefix + ".shared_experts", shared_inner_) : y;
  }

  ExpertMatrix matrix(Step& step, const std::string& prefix, const std::string& part, int64_t in,
                      int64_t out) const {
    std::vector<std::string> tensors;
    for (int64_t e = 0; e < experts_; ++e)
      tensors.push_back(fmt::format("{}.experts.{}.{}.weight", prefix, e, part));
    return expert_matrix(step, prefix + ".experts." + part, tensors, in, out);
  }

  SelfAttention attention_;
  Mamba2Mixer mixer_;
  std::vector<std::string> kinds_;
  Router router_;
  int64_t inner_ = 0, experts_ = 0, expert_inner_ = 0, shared_experts_ = 0, shared_inner_ = 0;
  int64_t latent_ = 0;
  Bias mlp_bias_ = Bias::kNone;
  Activation act_;
};

}  // namespace

const Family kNemotronH{"nemotron_h",
                        {"nemotron_h"},
                        {"NemotronHForCausalLM"},
                        "Mamba-2, attention",
                        "recurrent, kv",
                        {"nemotron_h", "nemotron_h_latent"},
                        "",
                        make_model<NemotronH>};

}  // namespace continuo::models

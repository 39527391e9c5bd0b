// Zamba2: Mamba-2 layers; some first run a transformer block that they share, on the hidden state
// beside the embedding, made different by low-rank adapters. Reference: transformers
// modeling_zamba2.py.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "models/families.h"
#include "models/mamba_config.h"

namespace continuo::models {
namespace {

constexpr const char* kEmbedding = "embedding";  // Step::shared: the original embedding

class Zamba2 : public Model {
 public:
  Zamba2(const ConfigView& config, HasTensor has) : Model(config, std::move(has)) {
    facts_.family = "zamba2";
    norm_eps_ = config.number("rms_norm_eps", 1e-5);
    tied_ = config.flag("tie_word_embeddings", true);
    if (config.flag("use_long_context", false))
      config.fail("use_long_context = true is not supported");
    attention_ = read_attention(config, 2 * facts_.hidden, 0);
    attention_.head_dim = config.size("attention_head_dim", 2 * facts_.hidden / attention_.heads);
    attention_.options.scale = 1 / std::sqrt(double(attention_.head_dim) / 2);
    if (config.flag("use_mem_rope", false)) {
      rope_ = read_rope(config, attention_.head_dim);
      facts_.rope_switches_at = rope_->switches_at();
    }
    attention_adapters_ = config.flag("use_shared_attention_adapter", false);
    rank_ = config.size("adapter_rank", 128);
    blocks_ = config.size("num_mem_blocks", 1);
    inner_ = config.optional_size("intermediate_size", 0);
    if (inner_ == 0) inner_ = 4 * facts_.hidden;
    act_ = activation(config.text("hidden_act", "gelu"));
    read_mixer(config);
    read_layers(config);
  }

  Value embed(Step& step) const override { return step.shared[kEmbedding] = Model::embed(step); }

  // The block's output joins the mixer's input, not the residual.
  Value layer(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index), state = state_name(index);
    const int64_t use = uses_[static_cast<size_t>(index)];
    const std::string mamba = use < 0 ? prefix : prefix + ".mamba_decoder";
    Value h = x;
    if (use >= 0)
      h = x + linear(step, shared_block(step, x, use, state), prefix + ".linear", facts_.hidden);
    h = rms_norm(step, h, mamba + ".input_layernorm", norm_eps_);
    return x + mamba2_mixer(step, h, mamba + ".mamba", state, mixer_);
  }

  Value final_norm(Step& step, Value x) const override {
    return rms_norm(step, x, prefix_ + "final_layernorm", norm_eps_);
  }

 private:
  void read_mixer(const ConfigView& config) {
    const int64_t inner = config.size("mamba_expand", 2) * facts_.hidden;
    mixer_.heads = config.size("n_mamba_heads", 8);
    mixer_.head_dim = config.size("mamba_headdim", std::max<int64_t>(1, inner / mixer_.heads));
    if (mixer_.heads * mixer_.head_dim != inner)
      config.fail(fmt::format("wanted n_mamba_heads * mamba_headdim = {}, got {} * {}", inner,
                              mixer_.heads, mixer_.head_dim));
    mixer_.groups = config.size("mamba_ngroups", 1);
    mixer_.state_size = config.size("mamba_d_state", 64);
    mixer_.kernel = config.size("mamba_d_conv", 4);
    mixer_.norm_eps = 1e-5;  // fixed in the reference, as is the convolution's bias
    bias_ = config.flag("add_bias_linear", false) ? Bias::kYes : Bias::kNone;
    mixer_.in_bias = mixer_.out_bias = bias_;
    read_time_step_limit(config, mixer_);
  }

  void read_layers(const ConfigView& config) {
    const std::vector<std::string> kinds = read_layer_kinds(config, facts_.layers);
    if (kinds.empty()) config.fail("layers_block_type is missing");
    for (size_t i = 0; i < kinds.size(); ++i) {
      const bool hybrid = kinds[i] == "hybrid";
      if (!hybrid && kinds[i] != "mamba")
        config.fail("layer type \"" + kinds[i] + "\": wanted mamba or hybrid");
      uses_.push_back(hybrid ? static_cast<int64_t>(hybrids_.size()) : -1);
      if (hybrid) hybrids_.push_back(static_cast<int64_t>(i));
      facts_.mixers.push_back(hybrid ? "shared attention + mamba2" : "mamba2");
    }
  }

  // PREFIX.weight plus the adapter of this use.
  Value adapted(Step& step, Value x, const std::string& name, const std::string& adapter,
                int64_t use, int64_t out, Bias bias) const {
    const std::string low = fmt::format("{}.{}", adapter, use);
    return linear(step, x, name, out, bias) +
           linear(step, linear(step, x, low + ".0", rank_), low + ".1", out);
  }

  // Blocks take turns; their tensors lie at the first layer that uses them.
  Value shared_block(Step& step, Value x, int64_t use, const std::string& state) const {
    const int64_t home = hybrids_[static_cast<size_t>(use % blocks_)];
    const std::string prefix = layer_prefix(home) + ".shared_transformer";
    Value h = concat({x, step.shared.at(kEmbedding)}, -1);  // [R,T,2H]
    h = rms_norm(step, h, prefix + ".input_layernorm", norm_eps_);
    h = attend(step, h, prefix + ".self_attn", use, state);
    h = rms_norm(step, h, prefix + ".pre_ff_layernorm", norm_eps_);
    const std::string ff = prefix + ".feed_forward";
    const std::vector<Value> parts =
        split(adapted(step, h, ff + ".gate_up_proj", ff + ".gate_up_proj_adapter_list", use,
                      2 * inner_, bias_),
              -1, {inner_, inner_});
    return linear(step, act_(parts[0]) * parts[1], ff + ".down_proj", facts_.hidden, bias_);
  }

  Value attend(Step& step, Value x, const std::string& prefix, int64_t use,
               const std::string& state) const {
    SelfAttention block = attention_;
    if (rope_) block.rope = rope_->rope(step.shape().limit);
    const auto project = [&](const std::string& which, int64_t heads) {
      const std::string name = prefix + "." + which + "_proj";
      const int64_t out = heads * block.head_dim;
      const Value y = attention_adapters_
                          ? adapted(step, x, name, prefix + ".linear_" + which + "_adapter_list",
                                    use, out, block.bias)
                          : linear(step, x, name, out, block.bias);
      return reshape(y, {x.dim(0), x.dim(1), heads, block.head_dim});
    };
    Projected parts{project("q", block.heads), project("k", block.kv_heads),
                    project("v", block.kv_heads)};
    prepare_qk(step, parts, block);
    const Value mixed = attention(step, state, parts.q, parts.k, parts.v, block.options);
    return linear(step, mixed, prefix + ".o_proj", facts_.hidden);
  }

  SelfAttention attention_;
  std::optional<RopeConfig> rope_;
  Mamba2Mixer mixer_;
  std::vector<int64_t> uses_;     // a layer's ordinal among the hybrid ones, -1 = none
  std::vector<int64_t> hybrids_;  // the hybrid layers
  bool attention_adapters_ = false;
  int64_t rank_ = 0, blocks_ = 1, inner_ = 0;
  Bias bias_ = Bias::kNone;
  Activation act_;
};

}  // namespace

const Family kZamba2{
    "zamba2",        {"zamba2"}, {"Zamba2ForCausalLM"},         "Mamba-2, shared attention blocks",
    "recurrent, kv", {"zamba2"}, "use_long_context is refused", make_model<Zamba2>};

}  // namespace continuo::models

// OLMoE: q and k normed over all heads together, optional clip, every layer sparse.
// Reference: transformers modeling_olmoe.py.
#include <fmt/format.h>

#include "models/decoder.h"
#include "models/families.h"
#include "ops/sparse_mlp.h"

namespace continuo::models {
namespace {

class Olmoe : public Decoder {
 public:
  Olmoe(const ConfigView& config, HasTensor has) : Decoder(config, std::move(has)) {
    facts_.family = "olmoe";
    qk_norm_ = QkNorm::kAllHeads;
    norm_eps_ = config.number("rms_norm_eps", 1e-5);
    clip_ = config.number("clip_qkv", 0);
    if (config.has("clip_qkv") && !(clip_ > 0))
      config.fail(fmt::format("clip_qkv: wanted a positive number or null, got {}", clip_));
    sparse_.experts = config.size({"num_experts", "num_local_experts"}, 64);
    sparse_.inner = inner_;
    sparse_.act = act_;
    sparse_.router.top_k = config.size("num_experts_per_tok", 8);
    sparse_.router.normalise = config.flag("norm_topk_prob", false);
  }

 private:
  Value clipped(Value x) const { return clip_ > 0 ? clamp(x, -clip_, clip_) : x; }

  SelfAttention attention_block(Step& step, int64_t index) const override {
    SelfAttention block = Decoder::attention_block(step, index);
    block.qk_norm = [this, norm = block.qk_norm](Value x, char which) {
      return clipped(norm(x, which));
    };
    return block;
  }

  // The clip comes after the norms of q and k, and v has no norm.
  Value attend(Step& step, int64_t index, Value x) const override {
    const SelfAttention block = attention_block(step, index);
    const std::string prefix = attention_prefix(index);
    Projected parts = project_qkv(step, x, prefix, block);
    prepare_qk(step, parts, block);
    const Value mixed =
        attention(step, state_name(index), parts.q, parts.k, clipped(parts.v), block.options);
    return linear(step, mixed, prefix + "." + block.out, facts_.hidden, block.out_bias);
  }

  Value feed_forward(Step& step, int64_t index, Value x) const override {
    return sparse_mlp(step, x, layer_prefix(index) + ".mlp", sparse_);
  }

  double clip_ = 0;
  SparseMlp sparse_;
};

}  // namespace

const Family kOlmoe{"olmoe",   {"olmoe"}, {"OlmoeForCausalLM"}, "attention", "kv",
                    {"olmoe"}, "",        make_model<Olmoe>};

}  // namespace continuo::models

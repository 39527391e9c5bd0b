// What the families with Mamba mixers read alike, and the shape some of them share.
#pragma once

#include <string>
#include <vector>

#include "models/model.h"
#include "ops/mamba2_mixer.h"
#include "ops/mamba_mixer.h"

namespace continuo::models {

// Attention from num_attention_heads, num_key_value_heads (fallback: `kv_heads`, 0 = all heads),
// head_dim; without biases and rotation.
SelfAttention read_attention(const ConfigView& config, int64_t hidden, int64_t kv_heads);

// The Mamba-2 mixer of Bamba, Granite and Falcon-H1 (mamba_n_heads, mamba_d_head ...), whose heads
// together are `inner` channels wide.
Mamba2Mixer read_mamba2(const ConfigView& config, int64_t inner, int64_t default_state);
// time_step_limit: [low, high]; absent or [0, inf] is no limit.
void read_time_step_limit(const ConfigView& config, Mamba2Mixer& mixer);

// Kinds of layers by name, one of "attention", "mamba", "mlp", "moe" or "hybrid" each, from
// layers_block_type, layer_types or hybrid_override_pattern in today's words or older ones; empty
// where the config has none. A count other than `layers` is an error.
std::vector<std::string> read_layer_kinds(const ConfigView& config, int64_t layers);

// The common shape of models that follow Mamba's own naming: "backbone.embeddings",
// "backbone.layers.N", "backbone.norm_f", and a head that is the embedding where it is tied.
class MambaBackbone : public Model {
 public:
  MambaBackbone(const ConfigView& config, HasTensor has);
  Value final_norm(Step& step, Value x) const override;

 protected:
  std::string embedding_name() const override;

  std::string embedding_;  // the tensor: Mamba's own checkpoints call it "embedding"
};

// Checkpoints of Mamba's own library: sizes lie in `ssm_cfg`, and options of it that this engine
// lacks are refused.
ConfigView read_ssm_cfg(const ConfigView& config);

}  // namespace continuo::models

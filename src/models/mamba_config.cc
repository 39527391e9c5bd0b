#include "models/mamba_config.h"

#include <fmt/format.h>

#include <cmath>
#include <map>

namespace continuo::models {

SelfAttention read_attention(const ConfigView& config, int64_t hidden, int64_t kv_heads) {
  SelfAttention attention;
  attention.heads = config.size("num_attention_heads");
  attention.kv_heads =
      config.size("num_key_value_heads", kv_heads > 0 ? kv_heads : attention.heads);
  attention.head_dim = config.size("head_dim", hidden / attention.heads);
  attention.options.scale = 1 / std::sqrt(double(attention.head_dim));
  return attention;
}

Mamba2Mixer read_mamba2(const ConfigView& config, int64_t inner, int64_t default_state) {
  Mamba2Mixer mixer;
  mixer.heads = config.size("mamba_n_heads", 128);
  // "auto" is what the sizes say anyway.
  const bool given = config.has("mamba_d_head") && !config.is("mamba_d_head", "auto");
  mixer.head_dim = given ? config.size("mamba_d_head") : inner / mixer.heads;
  if (mixer.head_dim * mixer.heads != inner)
    config.fail(fmt::format("wanted mamba_n_heads * mamba_d_head = {}, got {} * {}", inner,
                            mixer.heads, mixer.head_dim));
  mixer.groups = config.size("mamba_n_groups", 1);
  mixer.state_size = config.size("mamba_d_state", default_state);
  mixer.kernel = config.size("mamba_d_conv", 4);
  mixer.conv_bias = config.flag("mamba_conv_bias", true) ? Bias::kYes : Bias::kNone;
  mixer.in_bias = mixer.out_bias = config.flag("mamba_proj_bias", false) ? Bias::kYes : Bias::kNone;
  mixer.norm_eps = config.number("rms_norm_eps", 1e-5);
  read_time_step_limit(config, mixer);
  return mixer;
}

void read_time_step_limit(const ConfigView& config, Mamba2Mixer& mixer) {
  const std::vector<float> limit = config.numbers({"time_step_limit", "dt_limit"});
  if (limit.empty()) return;
  if (limit.size() != 2 || !(limit[0] >= 0) || !(limit[1] > 0) || limit[0] > limit[1])
    config.fail("time_step_limit: wanted [low, high] with 0 <= low <= high");
  mixer.dt_min = limit[0];
  mixer.dt_max = std::isinf(limit[1]) ? 0 : limit[1];
}

std::vector<std::string> read_layer_kinds(const ConfigView& config, int64_t layers) {
  static const std::map<std::string, std::string> kKinds{{"linear_attention", "mamba"},
                                                         {"mamba", "mamba"},
                                                         {"mamba2", "mamba"},
                                                         {"full_attention", "attention"},
                                                         {"attention", "attention"},
                                                         {"mlp", "mlp"},
                                                         {"moe", "moe"},
                                                         {"hybrid", "hybrid"},
                                                         {"M", "mamba"},
                                                         {"*", "attention"},
                                                         {"-", "mlp"},
                                                         {"E", "moe"}};
  std::vector<std::string> words = config.strings({"layers_block_type", "layer_types"});
  if (words.empty())
    for (char letter : config.text("hybrid_override_pattern", "")) words.emplace_back(1, letter);
  if (words.empty()) return {};
  if (static_cast<int64_t>(words.size()) != layers)
    config.fail(fmt::format("{} kinds of layers are given for {} layers", words.size(), layers));
  std::vector<std::string> kinds;
  for (const std::string& word : words) {
    const auto place = kKinds.find(word);
    if (place == kKinds.end()) config.fail(fmt::format("layer type \"{}\" is unknown", word));
    kinds.push_back(place->second);
  }
  return kinds;
}

MambaBackbone::MambaBackbone(const ConfigView& config, HasTensor has)
    : Model(config, std::move(has)) {
  prefix_ = "backbone.";
  norm_eps_ = config.number({"layer_norm_epsilon", "rms_norm_eps", "norm_epsilon"}, 1e-5);
  embedding_ = prefix_ + "embeddings.weight";
  if (!has_(embedding_) && has_(prefix_ + "embedding.weight"))
    embedding_ = prefix_ + "embedding.weight";
  // Mamba's own library rounds the vocabulary up.
  const int64_t multiple = config.has("ssm_cfg") ? config.size("pad_vocab_size_multiple", 8) : 1;
  facts_.vocab = (facts_.vocab + multiple - 1) / multiple * multiple;
}

std::string MambaBackbone::embedding_name() const { return embedding_; }

Value MambaBackbone::final_norm(Step& step, Value x) const {
  return rms_norm(step, x, prefix_ + "norm_f", norm_eps_);
}

ConfigView read_ssm_cfg(const ConfigView& config) {
  const ConfigView ssm = config.object("ssm_cfg");
  if (!config.flag("rms_norm", true)) config.fail("rms_norm = false is not supported");
  if (!config.integers("attn_layer_idx").empty())
    config.fail("attention layers (attn_layer_idx) are not supported");
  if (config.integer("d_intermediate", 0) != 0)
    config.fail("feed-forward layers (d_intermediate) are not supported");
  if (ssm.flag("D_has_hdim", false)) ssm.fail("D_has_hdim is not supported");
  if (ssm.has("d_ssm")) ssm.fail("d_ssm is not supported");
  return ssm;
}

}  // namespace continuo::models

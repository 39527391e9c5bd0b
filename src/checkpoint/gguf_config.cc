#include "checkpoint/gguf_config.h"

#include <array>

#include "checkpoint/gguf_arch.h"

namespace continuo::checkpoint {
namespace {

using nlohmann::json;

constexpr std::array kFamilies = {
    gguf_llama_architectures,  gguf_qwen_architectures,  gguf_gemma_architectures,
    gguf_dense_architectures,  gguf_moe_architectures,   gguf_ssm_architectures,
    gguf_hybrid_architectures, gguf_delta_architectures, gguf_rwkv_architectures,
};

const GgufArchitecture* find_architecture(std::string_view name) {
  for (const auto family : kFamilies) {
    for (const GgufArchitecture& architecture : family()) {
      if (architecture.name == name) return &architecture;
    }
  }
  return nullptr;
}

void token_id(const GgufFile& file, std::string_view key, std::string_view name, json& config) {
  const json* id = file.find(key);
  if (id != nullptr && id->is_number_integer()) config[std::string(name)] = *id;
}

}  // namespace

Result<GgufModel> map_gguf(const GgufFile& file,
                           std::span<const std::span<const std::byte>> parts) {
  GgufMetadata metadata(file, parts);
  CONTINUO_RETURN_IF_ERROR(metadata.status());
  const GgufArchitecture* architecture = find_architecture(metadata.architecture());
  if (architecture == nullptr) {
    return error(ErrorCode::kUnsupported, "GGUF architecture '{}' is not supported",
                 metadata.architecture());
  }
  GgufModel model;
  model.config = json::object();
  model.config["model_type"] = architecture->model_type;
  model.config["architectures"] = json::array({std::string(architecture->hf_class)});
  architecture->config(metadata, model.config);
  CONTINUO_RETURN_IF_ERROR(metadata.status());
  CONTINUO_TRY(model.tensors, GgufMapper(metadata, *architecture).map());
  return model;
}

std::vector<GgufArchitectureRow> gguf_architectures() {
  std::vector<GgufArchitectureRow> rows;
  for (const auto family : kFamilies) {
    for (const GgufArchitecture& architecture : family()) {
      rows.push_back({architecture.name, architecture.model_type, architecture.tested});
    }
  }
  return rows;
}

void base_config(GgufMetadata& metadata, json& config) {
  config["hidden_size"] = metadata.positive("embedding_length");
  config["num_hidden_layers"] = metadata.layers();
  config["vocab_size"] = metadata.vocab_size();
  config["tie_word_embeddings"] = metadata.tensor("output.weight") == nullptr;
  token_id(metadata.file(), "tokenizer.ggml.bos_token_id", "bos_token_id", config);
  token_id(metadata.file(), "tokenizer.ggml.eos_token_id", "eos_token_id", config);
  token_id(metadata.file(), "tokenizer.ggml.padding_token_id", "pad_token_id", config);
}

void transformer_config(GgufMetadata& metadata, json& config) {
  base_config(metadata, config);
  config["hidden_act"] = "silu";
  config["intermediate_size"] = metadata.integer("feed_forward_length", 0);
  config["max_position_embeddings"] = metadata.positive("context_length");
  const int64_t heads = metadata.positive("attention.head_count");
  config["num_attention_heads"] = heads;
  config["num_key_value_heads"] = metadata.integer("attention.head_count_kv", heads);
  config["head_dim"] = head_dim(metadata);
  if (metadata.has("attention.layer_norm_rms_epsilon")) {
    config["rms_norm_eps"] = metadata.number("attention.layer_norm_rms_epsilon");
  }
  config["attention_bias"] = metadata.any_layer_has("attn_q.bias");
  config["mlp_bias"] = metadata.any_layer_has("ffn_up.bias");
  config["rope_parameters"] = rope_parameters(metadata, head_dim(metadata));
}

int64_t head_dim(GgufMetadata& metadata) {
  if (metadata.has("attention.key_length")) return metadata.positive("attention.key_length");
  const int64_t dim =
      metadata.positive("embedding_length") / metadata.positive("attention.head_count");
  if (dim > 0) return dim;
  metadata.fail("there are more heads than embedding_length");
  return 1;
}

json sliding_layer_types(GgufMetadata& metadata, int64_t period) {
  const bool listed = metadata.has("attention.sliding_window_pattern");
  const std::vector<int64_t> sliding = metadata.per_layer("attention.sliding_window_pattern", 0);
  json types = json::array();
  for (int64_t layer = 0; layer < metadata.layers(); ++layer) {
    const bool slides =
        listed ? sliding[static_cast<size_t>(layer)] != 0 : (layer + 1) % period != 0;
    types.push_back(slides ? "sliding_attention" : "full_attention");
  }
  return types;
}

double norm_epsilon(GgufMetadata& metadata) {
  return metadata.has("attention.layer_norm_epsilon")
             ? metadata.number("attention.layer_norm_epsilon")
             : metadata.number("attention.layer_norm_rms_epsilon");
}

}  // namespace continuo::checkpoint

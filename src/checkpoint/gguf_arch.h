// What a GGUF architecture needs to look like its Hugging Face checkpoint: a configuration and
// names for its tensors. The authority is llama.cpp's converter (conversion/*.py,
// gguf-py/gguf/tensor_mapping.py), undone; constants that llama.cpp has in its loader
// (src/llama-model.cpp) instead of the file are repeated here with their source.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "checkpoint/gguf_metadata.h"
#include "checkpoint/gguf_tensors.h"

namespace continuo::checkpoint {

enum class How {
  kAs,         // the values as they are
  kFlat,       // [n, 1] or [groups, n] as one axis
  kConv,       // [channels, k] as [channels, 1, k]
  kSlices,     // [n, ...] as n tensors, "{}" in the name counts them
  kMinus,      // the converter added `amount`
  kLog,        // A = -exp(A_log), as one axis
  kQueryRows,  // llama's permutation of the rows of each query head
  kKeyRows,    // the same for the key heads
  kSkip,
};

// Stem "attn_q" stands for attn_q.weight and attn_q.bias, which keep their ending; a name with its
// ending, or one that has none in the file, for itself. `hf` of a layer's tensor follows the
// prefix.
struct NameRule {
  std::string_view gguf, hf;
  How how = How::kAs;
  double amount = 0;
};

class GgufMapper;

// One tensor of a layer as the hooks see it.
struct LayerTensor {
  const GgufTensor& tensor;
  int64_t layer;            // -1 outside the layers
  std::string_view suffix;  // the name without "blk.N."
};

struct GgufArchitecture {
  std::string_view name;            // general.architecture
  std::string_view model_type;      // of config.json
  std::string_view hf_class;        // "LlamaForCausalLM"
  bool tested;                      // against a checkpoint of the same model in safetensors
  std::string_view layer_prefix;    // "model.layers."
  std::span<const NameRule> rules;  // before the common ones
  void (*config)(GgufMetadata&, nlohmann::json&);
  // Maps what no rule can say; true when it did. May be null.
  bool (*hook)(GgufMapper&, const LayerTensor&) = nullptr;
  // Of a Mamba mixer's tensors, between the layer's prefix and their usual names; empty = none.
  std::string_view mamba_prefix = {};
};

// The architectures of one source file each.
std::span<const GgufArchitecture> gguf_llama_architectures();
std::span<const GgufArchitecture> gguf_qwen_architectures();
std::span<const GgufArchitecture> gguf_gemma_architectures();
std::span<const GgufArchitecture> gguf_dense_architectures();
std::span<const GgufArchitecture> gguf_moe_architectures();
std::span<const GgufArchitecture> gguf_ssm_architectures();
std::span<const GgufArchitecture> gguf_hybrid_architectures();
std::span<const GgufArchitecture> gguf_delta_architectures();
std::span<const GgufArchitecture> gguf_rwkv_architectures();

// Collects the mappings of one file.
class GgufMapper {
 public:
  GgufMapper(GgufMetadata& metadata, const GgufArchitecture& architecture)
      : metadata_(metadata), architecture_(architecture) {}

  // Maps every tensor; the result is sorted by name.
  Result<std::vector<GgufMapping>> map();

  // For hooks.
  GgufMetadata& metadata() { return metadata_; }
  // The whole tensor as a piece that fills its target.
  GgufPiece piece(const GgufTensor& tensor) const;
  // `count` elements from `first` on, filling their target.
  GgufPiece piece(const GgufTensor& tensor, int64_t first, int64_t count) const;
  void add(int64_t layer, std::string_view hf, Shape shape, std::vector<GgufPiece> pieces,
           GgufFix fix = GgufFix::kNone, double amount = 0);
  // [n, rows, columns] twice as [n, 2 * rows, columns]: `first`'s rows, then `second`'s.
  void add_stacked(int64_t layer, std::string_view hf, const GgufTensor& first,
                   const GgufTensor& second);
  // The other half of a fused pair; a missing one is an error.
  const GgufTensor* partner(const LayerTensor& tensor, std::string_view suffix);

 private:
  void map_tensor(const GgufTensor& tensor);
  bool apply(const LayerTensor& tensor, std::span<const NameRule> rules,
             std::string_view prefix = {});
  void apply(const LayerTensor& tensor, const NameRule& rule, const std::string& hf);
  void add_slices(const LayerTensor& tensor, const std::string& hf);
  GgufPiece head_rows(const LayerTensor& tensor, How how);

  GgufMetadata& metadata_;
  const GgufArchitecture& architecture_;
  std::vector<GgufMapping> mappings_;
};

}  // namespace continuo::checkpoint

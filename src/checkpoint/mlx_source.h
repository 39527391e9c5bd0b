// The tensors of a folder that mlx-lm wrote, under the names and with the values that Hugging Face
// gives them. Converting a model, mlx-lm rewrites some families' tensors (`sanitize` in
// mlx_lm/models/FAMILY.py): it joins, splits, transposes or scales them for its own modules. Here
// that is undone, so that models know nothing of MLX.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "checkpoint/tensor_source.h"

namespace continuo::checkpoint {

// How the elements of a Hugging Face tensor are made of those of one or two stored ones.
enum class MlxForm {
  kAs,         // the one's elements in their order
  kRows,       // a:[..,m,k] b:[..,n,k] -> [..,m+n,k]
  kAlternate,  // a:[..,n] b:[..,n] -> [..,2n]: an element of each in turn
  kLatent,     // embed_q:[H,rank,N] unembed_out:[H,V,rank] -> kv_b_proj:[H*(N+V),rank]
};

struct MlxTensor {
  TensorInfo info;                   // as Hugging Face has it
  std::vector<std::string> sources;  // stored tensors, one or two
  MlxForm form = MlxForm::kAs;
  // Afterwards: x / over - minus. `over` has one number, or one a row.
  std::vector<float> over;
  float minus = 0;

  bool untouched() const { return form == MlxForm::kAs && over.empty() && minus == 0; }
};

// What the rules of a family work on: every tensor of the folder, to begin with as it is stored.
class MlxRewriter {
 public:
  MlxRewriter(const TensorSource& stored, const nlohmann::json& config);

  const nlohmann::json& config() const { return config_; }
  // A number of the config, or `fallback` where it is absent or null.
  double number(const char* key, double fallback) const;
  std::vector<double> numbers(const char* key) const;

  // Calls `change` for each tensor whose name ends with `ending`.
  void each(std::string_view ending, const std::function<void(MlxTensor&)>& change);
  // NAME + from becomes NAME + to.
  void rename(std::string_view from, std::string_view to);
  // NAME + a and NAME + b become NAME + to. Fails where b is missing or does not fit.
  void join(MlxForm form, std::string_view a, std::string_view b, std::string_view to);
  void fail(std::string message);

  // The result, sorted by name; the first failure, or two tensors of one name, is an error.
  Result<std::vector<MlxTensor>> take();

 private:
  const nlohmann::json& config_;
  std::vector<MlxTensor> tensors_;
  std::string failure_;
};

// The families whose MLX checkpoints can be read: those of mlx-lm that this project has.
struct MlxFamily {
  std::string_view model_type;
  void (*undo)(MlxRewriter&);  // null: mlx-lm changes nothing but the shape of convolutions
};
std::span<const MlxFamily> mlx_families();
// nullptr: mlx-lm has no such family.
const MlxFamily* find_mlx_family(std::string_view model_type);

// kUnsupported: mlx-lm has no such family, so that nothing is known of what was rewritten.
// kCorrupt: the folder lacks a tensor that mlx-lm writes for the family.
Result<std::unique_ptr<TensorSource>> make_mlx_source(std::unique_ptr<TensorSource> stored,
                                                      const nlohmann::json& config,
                                                      const std::string& where);

}  // namespace continuo::checkpoint

// Dense layers and embeddings: the ops that own large weights.
#pragma once

#include <string>
#include <vector>

#include "ops/step.h"

namespace continuo::ops {

enum class Bias { kNone, kYes, kIfPresent };

// x:[..., in] @ NAME.weight ([out,in] in the checkpoint) (+ NAME.bias) -> [..., out] float32.
// On the device the weight lies as Target::linear_out_in says.
Value linear(Step& step, Value x, const std::string& name, int64_t out, Bias bias = Bias::kNone);
// The same with a weight tensor that is not called NAME.weight.
Value linear_weight(Step& step, Value x, const std::string& tensor, int64_t out);

// tokens:[R,T] rows of `tensor`:[V,H] -> [R,T,H] float32.
Value embedding(Step& step, const std::string& tensor, int64_t vocab, int64_t hidden);
// x:[..., H] @ tensor:[V,H]^T -> [..., V]: the head, read in the layout the embedding has, so that
// a tied one is stored once.
Value embedding_head(Step& step, Value x, const std::string& tensor, int64_t vocab);

// Matrices of E experts as one array: [E,in,out] or [E,out,in] (Target::linear_out_in).
struct ExpertMatrix {
  Value weight;
  int64_t in = 0, out = 0;
  bool out_in = false;
};
// `tensors`: one [out,in] tensor an expert.
ExpertMatrix expert_matrix(Step& step, const std::string& name,
                           const std::vector<std::string>& tensors, int64_t in, int64_t out);
// One tensor that holds all experts: [E,out,in], or [E,in,out] with source_in_out.
ExpertMatrix expert_matrix_stacked(Step& step, const std::string& tensor, int64_t experts,
                                   int64_t in, int64_t out, bool source_in_out);

// x:[..., in] @ w, w:[in,out] or (out_in) [out,in], in w's dtype with float32 sums -> [..., out].
// Few rows of float32 are a kernel's where the executor has one.
Value matmul(Step& step, Value x, Value w, bool out_in);
// x:[n,in] through expert `index` (scalar i32, 0 <= index < E) -> [n,out].
Value expert_matmul(Step& step, Value x, const ExpertMatrix& experts, Value index);

}  // namespace continuo::ops

#include "engine/own_head.h"

#include <cstring>

namespace continuo::engine {
namespace {

using checkpoint::TensorInfo;
using checkpoint::TensorSource;

// Reads both up to the first difference. Tensors that do not lie in the file as they are, or that
// have two types, are not compared: equal ones give the same logits either way.
bool differ(const TensorSource& tensors, const TensorInfo& a, const TensorInfo& b) {
  const auto left = tensors.plain(a), right = tensors.plain(b);
  if (!left || !right || a.dtype != b.dtype) return true;
  const bool equal =
      left->bytes() == right->bytes() && std::memcmp(left->data, right->data, left->bytes()) == 0;
  tensors.release(a);
  tensors.release(b);
  return !equal;
}

}  // namespace

bool has_own_head(const TensorSource& tensors, const models::Model& model) {
  const TensorInfo* head = tensors.find(model.head_tensor());
  const TensorInfo* embedding = tensors.find(model.embedding_tensor());
  return head != nullptr && embedding != nullptr && head != embedding &&
         head->shape == embedding->shape && differ(tensors, *head, *embedding);
}

}  // namespace continuo::engine

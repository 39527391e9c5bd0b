#include "engine/own_head.h"

#include <algorithm>
#include <cstring>

namespace continuo::engine {
namespace {

using checkpoint::TensorInfo;
using checkpoint::TensorSource;

// Whether `name` is `last`, inside whatever it may be.
bool is_called(std::string_view name, std::string_view last) {
  return name == last || (name.size() > last.size() && name.ends_with(last) &&
                          name[name.size() - last.size() - 1] == '.');
}

bool is_embedding(std::string_view name) {
  return is_called(name, "embed_tokens.weight") || is_called(name, "embeddings.weight") ||
         is_called(name, "embedding.weight");
}

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

bool has_own_head(const TensorSource& tensors) {
  const std::vector<TensorInfo>& all = tensors.tensors();
  const auto head = std::find_if(all.begin(), all.end(), [](const TensorInfo& each) {
    return is_called(each.name, "lm_head.weight");
  });
  if (head == all.end()) return false;
  const auto embedding = std::find_if(all.begin(), all.end(), [&](const TensorInfo& each) {
    return is_embedding(each.name) && each.shape == head->shape;
  });
  return embedding != all.end() && differ(tensors, *head, *embedding);
}

}  // namespace continuo::engine

#include "checkpoint/tensor_source.h"

#include <algorithm>

namespace continuo::checkpoint {

std::string_view name(Encoding encoding) {
  switch (encoding) {
    case Encoding::kPlain:
      return "plain";
    case Encoding::kQ4_0:
      return "Q4_0";
    case Encoding::kQ4_1:
      return "Q4_1";
    case Encoding::kQ5_0:
      return "Q5_0";
    case Encoding::kQ5_1:
      return "Q5_1";
    case Encoding::kQ8_0:
      return "Q8_0";
    case Encoding::kQ2_K:
      return "Q2_K";
    case Encoding::kQ3_K:
      return "Q3_K";
    case Encoding::kQ4_K:
      return "Q4_K";
    case Encoding::kQ5_K:
      return "Q5_K";
    case Encoding::kQ6_K:
      return "Q6_K";
    case Encoding::kIQ4_NL:
      return "IQ4_NL";
    case Encoding::kIQ4_XS:
      return "IQ4_XS";
    case Encoding::kMXFP4:
      return "MXFP4";
    case Encoding::kAffine:
      return "affine";
  }
  return "unknown";
}

const TensorInfo* TensorSource::find(std::string_view name) const {
  const std::vector<TensorInfo>& all = tensors();
  auto place = std::lower_bound(
      all.begin(), all.end(), name,
      [](const TensorInfo& tensor, std::string_view wanted) { return tensor.name < wanted; });
  return place != all.end() && place->name == name ? &*place : nullptr;
}

}  // namespace continuo::checkpoint

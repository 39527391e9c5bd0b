#include "checkpoint/gguf_dequant.h"

#include <cstring>

#include "checkpoint/convert.h"
#include "checkpoint/gguf_dequant_blocks.h"

namespace continuo::checkpoint {

void dequantize(GgmlType type, const std::byte* data, size_t elements, float* out) {
  const auto* in = reinterpret_cast<const uint8_t*>(data);
  const size_t count = elements / static_cast<size_t>(info(type).block);
  switch (type) {
    case GgmlType::kF32:
      std::memcpy(out, data, elements * sizeof(float));
      return;
    case GgmlType::kF16:
      return f16_to_f32(data, {out, count});
    case GgmlType::kBF16:
      return bf16_to_f32(data, {out, count});
    case GgmlType::kQ4_0:
      return blocks::q4_0(in, count, out);
    case GgmlType::kQ4_1:
      return blocks::q4_1(in, count, out);
    case GgmlType::kQ5_0:
      return blocks::q5_0(in, count, out);
    case GgmlType::kQ5_1:
      return blocks::q5_1(in, count, out);
    case GgmlType::kQ8_0:
      return blocks::q8_0(in, count, out);
    case GgmlType::kQ2_K:
      return blocks::q2_k(in, count, out);
    case GgmlType::kQ3_K:
      return blocks::q3_k(in, count, out);
    case GgmlType::kQ4_K:
      return blocks::q4_k(in, count, out);
    case GgmlType::kQ5_K:
      return blocks::q5_k(in, count, out);
    case GgmlType::kQ6_K:
      return blocks::q6_k(in, count, out);
    case GgmlType::kIQ4_NL:
      return blocks::iq4_nl(in, count, out);
    case GgmlType::kIQ4_XS:
      return blocks::iq4_xs(in, count, out);
    case GgmlType::kMXFP4:
      return blocks::mxfp4(in, count, out);
  }
}

}  // namespace continuo::checkpoint

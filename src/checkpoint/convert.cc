#include "checkpoint/convert.h"

#include <bit>
#include <cstdint>
#include <cstring>

#include "base/half.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace continuo::checkpoint {
namespace {

template <typename T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

template <typename T>
void cast(const std::byte* from, std::span<float> out) {
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<float>(load<T>(from + i * sizeof(T)));
}

void f16_to_f32_portable(const std::byte* from, std::span<float> out) {
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = continuo::f16_to_f32(load<uint16_t>(from + i * sizeof(uint16_t)));
}

void round_to_f16_portable(std::span<float> values) {
  for (float& value : values) value = continuo::f16_to_f32(f32_to_f16(value));
}

#if defined(__x86_64__)
__attribute__((target("avx,f16c"))) void f16_to_f32_f16c(const std::byte* from,
                                                         std::span<float> out) {
  constexpr size_t kLanes = 8;
  size_t i = 0;
  for (; i + kLanes <= out.size(); i += kLanes) {
    const auto* halves = reinterpret_cast<const __m128i*>(from + i * sizeof(uint16_t));
    _mm256_storeu_ps(out.data() + i, _mm256_cvtph_ps(_mm_loadu_si128(halves)));
  }
  f16_to_f32_portable(from + i * sizeof(uint16_t), out.subspan(i));
}

__attribute__((target("avx,f16c"))) void round_to_f16_f16c(std::span<float> values) {
  constexpr size_t kLanes = 8;
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    float* const at = values.data() + i;
    const __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(at), _MM_FROUND_TO_NEAREST_INT);
    _mm256_storeu_ps(at, _mm256_cvtph_ps(halves));
  }
  round_to_f16_portable(values.subspan(i));
}

// clang has no name for F16C here; every CPU with AVX2 has it.
bool has_f16c() {
  static const bool known = __builtin_cpu_supports("avx2");
  return known;
}
#endif

}  // namespace

void f16_to_f32(const std::byte* from, std::span<float> out) {
#if defined(__x86_64__)
  if (has_f16c()) return f16_to_f32_f16c(from, out);
#endif
  f16_to_f32_portable(from, out);
}

void bf16_to_f32(const std::byte* from, std::span<float> out) {
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = continuo::bf16_to_f32(load<uint16_t>(from + i * sizeof(uint16_t)));
}

void round_to_f16(std::span<float> values) {
#if defined(__x86_64__)
  if (has_f16c()) return round_to_f16_f16c(values);
#endif
  round_to_f16_portable(values);
}

void round_to_bf16(std::span<float> values) {
  for (float& value : values) {  // as f32_to_bf16, without its branch, so that it vectorises
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const uint32_t nan = bits | 0x400000u;
    const uint32_t nearest = bits + 0x7fffu + ((bits >> 16) & 1u);
    const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    value = std::bit_cast<float>((is_nan ? nan : nearest) & 0xffff0000u);
  }
}

void to_f32(DType dtype, const std::byte* from, std::span<float> out) {
  switch (dtype) {
    case DType::kF32:
      if (!out.empty()) std::memcpy(out.data(), from, out.size_bytes());
      return;
    case DType::kF16:
      return f16_to_f32(from, out);
    case DType::kBF16:
      return bf16_to_f32(from, out);
    case DType::kF64:
      return cast<double>(from, out);
    case DType::kI8:
      return cast<int8_t>(from, out);
    case DType::kU8:
      return cast<uint8_t>(from, out);
    case DType::kI16:
      return cast<int16_t>(from, out);
    case DType::kU16:
      return cast<uint16_t>(from, out);
    case DType::kI32:
      return cast<int32_t>(from, out);
    case DType::kU32:
      return cast<uint32_t>(from, out);
    case DType::kI64:
      return cast<int64_t>(from, out);
    case DType::kU64:
      return cast<uint64_t>(from, out);
    case DType::kPred:
      for (size_t i = 0; i < out.size(); ++i) out[i] = from[i] == std::byte{0} ? 0.0f : 1.0f;
      return;
  }
}

}  // namespace continuo::checkpoint

// The kernels behind dequantize(), a file for each family of types. `count` is in blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/half.h"

namespace continuo::checkpoint::blocks {

inline float half_at(const uint8_t* bytes) {
  uint16_t bits = 0;
  std::memcpy(&bits, bytes, sizeof(bits));
  return continuo::f16_to_f32(bits);
}

// The sixteen values of IQ4_NL and IQ4_XS (quants.py, IQ4_NL.kvalues).
inline constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};

// Blocks of 32 (gguf_dequant_32.cc).
void q4_0(const uint8_t* in, size_t count, float* out);
void q4_1(const uint8_t* in, size_t count, float* out);
void q5_0(const uint8_t* in, size_t count, float* out);
void q5_1(const uint8_t* in, size_t count, float* out);
void q8_0(const uint8_t* in, size_t count, float* out);
void iq4_nl(const uint8_t* in, size_t count, float* out);
void mxfp4(const uint8_t* in, size_t count, float* out);

// Super-blocks of 256 (gguf_dequant_256.cc).
void q2_k(const uint8_t* in, size_t count, float* out);
void q3_k(const uint8_t* in, size_t count, float* out);
void q4_k(const uint8_t* in, size_t count, float* out);
void q5_k(const uint8_t* in, size_t count, float* out);
void q6_k(const uint8_t* in, size_t count, float* out);
void iq4_xs(const uint8_t* in, size_t count, float* out);

}  // namespace continuo::checkpoint::blocks

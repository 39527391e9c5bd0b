// Types with blocks of 32 elements: low nibbles hold elements 0..15, high nibbles 16..31.
#include <array>
#include <bit>

#include "checkpoint/gguf_dequant_blocks.h"

namespace continuo::checkpoint::blocks {
namespace {

constexpr int kHalf = 16;

// Bit i of the four bytes is the fifth bit of element i.
uint32_t fifth_bits(const uint8_t* bytes) {
  uint32_t bits = 0;
  std::memcpy(&bits, bytes, sizeof(bits));
  return bits;
}

}  // namespace

void q4_0(const uint8_t* in, size_t count, float* __restrict out) {
  for (; count > 0; --count, in += 18, out += 32) {
    const float d = half_at(in);
    for (int i = 0; i < kHalf; ++i) {
      out[i] = d * static_cast<float>((in[2 + i] & 0x0f) - 8);
      out[i + kHalf] = d * static_cast<float>((in[2 + i] >> 4) - 8);
    }
  }
}

void q4_1(const uint8_t* in, size_t count, float* __restrict out) {
  for (; count > 0; --count, in += 20, out += 32) {
    const float d = half_at(in), m = half_at(in + 2);
    for (int i = 0; i < kHalf; ++i) {
      out[i] = d * static_cast<float>(in[4 + i] & 0x0f) + m;
      out[i + kHalf] = d * static_cast<float>(in[4 + i] >> 4) + m;
    }
  }
}

void q5_0(const uint8_t* in, size_t count, float* __restrict out) {
  for (; count > 0; --count, in += 22, out += 32) {
    const float d = half_at(in);
    const uint32_t high = fifth_bits(in + 2);
    for (int i = 0; i < kHalf; ++i) {
      const int low = static_cast<int>(high >> i & 1) << 4;
      const int up = static_cast<int>(high >> (i + kHalf) & 1) << 4;
      out[i] = d * static_cast<float>(((in[6 + i] & 0x0f) | low) - 16);
      out[i + kHalf] = d * static_cast<float>(((in[6 + i] >> 4) | up) - 16);
    }
  }
}

void q5_1(const uint8_t* in, size_t count, float* __restrict out) {
  for (; count > 0; --count, in += 24, out += 32) {
    const float d = half_at(in), m = half_at(in + 2);
    const uint32_t high = fifth_bits(in + 4);
    for (int i = 0; i < kHalf; ++i) {
      const int low = static_cast<int>(high >> i & 1) << 4;
      const int up = static_cast<int>(high >> (i + kHalf) & 1) << 4;
      out[i] = d * static_cast<float>((in[8 + i] & 0x0f) | low) + m;
      out[i + kHalf] = d * static_cast<float>((in[8 + i] >> 4) | up) + m;
    }
  }
}

void q8_0(const uint8_t* in, size_t count, float* __restrict out) {
  for (; count > 0; --count, in += 34, out += 32) {
    const float d = half_at(in);
    for (int i = 0; i < 32; ++i) {
      out[i] = static_cast<float>(static_cast<int8_t>(in[2 + i])) * d;
    }
  }
}

void iq4_nl(const uint8_t* in, size_t count, float* __restrict out) {
  for (; count > 0; --count, in += 18, out += 32) {
    const float d = half_at(in);
    for (int i = 0; i < kHalf; ++i) {
      out[i] = d * static_cast<float>(kIq4Values[in[2 + i] & 0x0f]);
      out[i + kHalf] = d * static_cast<float>(kIq4Values[in[2 + i] >> 4]);
    }
  }
}

// E2M1 values doubled, with half of the E8M0 scale (OCP Microscaling Formats 1.0, section 5.4.1).
void mxfp4(const uint8_t* in, size_t count, float* __restrict out) {
  constexpr std::array<int8_t, 16> kValues = {0, 1,  2,  3,  4,  6,  8,  12,
                                              0, -1, -2, -3, -4, -6, -8, -12};
  for (; count > 0; --count, in += 17, out += 32) {
    const uint32_t exponent = in[0];
    const float d =
        std::bit_cast<float>(exponent < 2 ? 0x00200000u << exponent : (exponent - 1) << 23);
    for (int i = 0; i < kHalf; ++i) {
      out[i] = d * static_cast<float>(kValues[in[1 + i] & 0x0f]);
      out[i + kHalf] = d * static_cast<float>(kValues[in[1 + i] >> 4]);
    }
  }
}

}  // namespace continuo::checkpoint::blocks

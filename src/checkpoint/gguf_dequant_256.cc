// Types with super-blocks of 256 elements and a scale for every 16 or 32 of them.
#include "checkpoint/gguf_dequant_blocks.h"

namespace continuo::checkpoint::blocks {
namespace {

// Q4_K and Q5_K: eight 6-bit scales and minima in twelve bytes.
struct ScalesAndMins {
  uint8_t scale[8], min[8];
};

ScalesAndMins unpack_6bit(const uint8_t* packed) {
  ScalesAndMins result{};
  for (int i = 0; i < 4; ++i) {
    result.scale[i] = packed[i] & 0x3f;
    result.min[i] = packed[4 + i] & 0x3f;
    result.scale[4 + i] = static_cast<uint8_t>((packed[8 + i] & 0x0f) | ((packed[i] >> 2) & 0x30));
    result.min[4 + i] = static_cast<uint8_t>((packed[8 + i] >> 4) | ((packed[4 + i] >> 2) & 0x30));
  }
  return result;
}

// Q3_K: sixteen 6-bit scales, four low bits in bytes 0..7, two high bits in bytes 8..11.
int scale_3k(const uint8_t* packed, int i) {
  const int low = i < 8 ? packed[i] & 0x0f : packed[i - 8] >> 4;
  const int high = packed[8 + i % 4] >> (2 * (i / 4)) & 3;
  return (low | high << 4) - 32;
}

}  // namespace

void q2_k(const uint8_t* in, size_t count, float* __restrict out) {
  for (; count > 0; --count, in += 84) {
    const uint8_t* quants = in + 16;
    const float d = half_at(in + 80), dmin = half_at(in + 82);
    for (int group = 0; group < 16; ++group, out += 16) {
      const float scale = d * static_cast<float>(in[group] & 0x0f);
      const float min = dmin * static_cast<float>(in[group] >> 4);
      const uint8_t* bytes = quants + group / 8 * 32 + group % 2 * 16;
      const int shift = group % 8 / 2 * 2;
      for (int i = 0; i < 16; ++i) {
        out[i] = scale * static_cast<float>(bytes[i] >> shift & 3) - min;
      }
    }
  }
}

void q3_k(const uint8_t* in, size_t count, float* __restrict out) {
  for (; count > 0; --count, in += 110) {
    const uint8_t* quants = in + 32;
    const float d = half_at(in + 108);
    for (int group = 0; group < 16; ++group, out += 16) {
      const float scale = d * static_cast<float>(scale_3k(in + 96, group));
      const uint8_t* bytes = quants + group / 8 * 32 + group % 2 * 16;
      const uint8_t* mask = in + group % 2 * 16;
      const int shift = group % 8 / 2 * 2, bit = group / 2;
      for (int i = 0; i < 16; ++i) {
        const int low = bytes[i] >> shift & 3;
        out[i] = scale * static_cast<float>(low - ((~mask[i] >> bit & 1) << 2));
      }
    }
  }
}

void q4_k(const uint8_t* in, size_t count, float* __restrict out) {
  for (; count > 0; --count, in += 144) {
    const float d = half_at(in), dmin = half_at(in + 2);
    const ScalesAndMins packed = unpack_6bit(in + 4);
    for (int group = 0; group < 8; ++group, out += 32) {
      const float scale = d * static_cast<float>(packed.scale[group]);
      const float min = dmin * static_cast<float>(packed.min[group]);
      const uint8_t* bytes = in + 16 + group / 2 * 32;
      const int shift = group % 2 * 4;
      for (int i = 0; i < 32; ++i) {
        out[i] = scale * static_cast<float>(bytes[i] >> shift & 0x0f) - min;
      }
    }
  }
}

void q5_k(const uint8_t* in, size_t count, float* __restrict out) {
  for (; count > 0; --count, in += 176) {
    const float d = half_at(in), dmin = half_at(in + 2);
    const ScalesAndMins packed = unpack_6bit(in + 4);
    const uint8_t* high = in + 16;
    for (int group = 0; group < 8; ++group, out += 32) {
      const float scale = d * static_cast<float>(packed.scale[group]);
      const float min = dmin * static_cast<float>(packed.min[group]);
      const uint8_t* bytes = in + 48 + group / 2 * 32;
      const int shift = group % 2 * 4;
      for (int i = 0; i < 32; ++i) {
        const int quant = (bytes[i] >> shift & 0x0f) | (high[i] >> group & 1) << 4;
        out[i] = scale * static_cast<float>(quant) - min;
      }
    }
  }
}

void q6_k(const uint8_t* in, size_t count, float* __restrict out) {
  for (; count > 0; --count, in += 210) {
    const float d = half_at(in + 208);
    for (int group = 0; group < 16; ++group, out += 16) {
      const float scale = d * static_cast<float>(static_cast<int8_t>(in[192 + group]));
      const int within = group % 8 * 16;  // position in the half of 128 elements
      const uint8_t* low = in + group / 8 * 64 + within % 64;
      const uint8_t* high = in + 128 + group / 8 * 32 + within % 32;
      const int low_shift = within / 64 * 4, high_shift = within / 32 * 2;
      for (int i = 0; i < 16; ++i) {
        const int quant = (low[i] >> low_shift & 0x0f) | (high[i] >> high_shift & 3) << 4;
        out[i] = scale * static_cast<float>(quant - 32);
      }
    }
  }
}

void iq4_xs(const uint8_t* in, size_t count, float* __restrict out) {
  for (; count > 0; --count, in += 136) {
    const float d = half_at(in);
    uint16_t high = 0;
    std::memcpy(&high, in + 2, sizeof(high));
    for (int group = 0; group < 8; ++group, out += 32) {
      const int low = in[4 + group / 2] >> (group % 2 * 4) & 0x0f;
      const float scale = d * static_cast<float>((low | (high >> (2 * group) & 3) << 4) - 32);
      const uint8_t* bytes = in + 8 + group * 16;
      for (int i = 0; i < 16; ++i) {
        out[i] = scale * static_cast<float>(kIq4Values[bytes[i] & 0x0f]);
        out[i + 16] = scale * static_cast<float>(kIq4Values[bytes[i] >> 4]);
      }
    }
  }
}

}  // namespace continuo::checkpoint::blocks

// The arithmetic of sampling, written once for the host (uint32_t) and for graphs (Value of ui32).
// All of it is fixed point: a logarithm in float32 differs between a host's library, XLA on a CPU,
// a GPU and IREE, and a sum in floating point by its order; integers agree bit for bit.
//
// "Q24" is a number times 2^24. Errors are below 2^-20, those of a float32 Gumbel variate.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "graph/elementwise.h"

namespace continuo::ops::sampling {

using graph::Value;

// --- what the host's and the graph's words have in common ---
inline uint32_t like(uint32_t, uint32_t value) { return value; }
inline uint32_t exclusive_or(uint32_t x, uint32_t y) { return x ^ y; }
inline uint32_t down(uint32_t x, uint32_t bits) { return x >> bits; }
inline uint32_t up(uint32_t x, uint32_t bits) { return x << bits; }
inline uint32_t high_product(uint32_t x, uint32_t y) {  // floor(x * y / 2^32)
  return static_cast<uint32_t>(uint64_t{x} * y >> 32);
}
inline uint32_t float_bits(uint32_t x) { return std::bit_cast<uint32_t>(static_cast<float>(x)); }
inline uint32_t if_below(uint32_t x, uint32_t y, uint32_t then, uint32_t otherwise) {
  return x < y ? then : otherwise;
}

inline Value like(Value x, uint32_t value) {
  return graph::constant(x.graph(), DType::kU32, value);
}
inline Value exclusive_or(Value x, Value y) { return graph::logical_xor(x, y); }
inline Value down(Value x, uint32_t bits) { return graph::shift_right(x, like(x, bits)); }
inline Value up(Value x, uint32_t bits) { return graph::shift_left(x, like(x, bits)); }
inline Value high_product(Value x, Value y) {
  const Value product = graph::convert(x, DType::kU64) * graph::convert(y, DType::kU64);
  return graph::convert(graph::shift_right(product, graph::constant(x.graph(), DType::kU64, 32)),
                        DType::kU32);
}
inline Value float_bits(Value x) {
  return graph::bitcast(graph::convert(x, DType::kF32), DType::kU32);
}
inline Value if_below(Value x, Value y, Value then, Value otherwise) {
  return graph::select(graph::compare(x, graph::Compare::kLt, y), then, otherwise);
}

// x * (c0 - x * (c1 - x * (c2 - ...))); x: Q32, coefficients and result Q31.
template <typename Word, size_t N>
Word alternating(Word x, const std::array<uint32_t, N>& coefficients) {
  Word sum = like(x, coefficients[N - 1]);
  for (size_t i = N - 1; i-- > 0;) sum = like(x, coefficients[i]) - high_product(sum, x);
  return high_product(sum, x);
}

// Minimax polynomials by Remez' exchange; the worst error is beside each.
inline constexpr std::array<uint32_t, 7> kLog1p{
    // ln(1 + x), 2^-22.2
    2147443141, 1072607474, 704894681, 485112087, 289211107, 118423257, 23116580};
inline constexpr std::array<uint32_t, 6> kHalfLog{
    // of exponential_over(), below, 2^-21.2
    950620957, 386692012, 222117114, 127750364, 54665037, 11519870};
inline constexpr std::array<uint32_t, 5> kExp2{// 1 - 2^-x, 2^-24
                                               1488516314, 515797037, 118791698, 19817795, 2048773};
inline constexpr uint32_t kLn2Q27 = 93032640, kLog2eQ31 = 3098164009;

// (exponent - log2(x)) * ln 2 in Q27, for x >= 1 and a result that fits, wrapping where negative.
template <typename Word>
Word minus_log(Word x, uint32_t exponent) {
  const Word bits = float_bits(x);
  const Word octaves = like(x, exponent + 127) - down(bits, 23);
  return octaves * like(x, kLn2Q27) - down(alternating(up(bits, 9), kLog1p), 4);
}

// 32 bits that are uniform and independent over ids and keys: the 32-bit finaliser of C. Wellons'
// hash-prospector ("lowbias32", public domain), one round a key word with constants of its own.
template <typename Word>
Word hash(Word key0, Word key1, Word id) {
  Word x = id * like(id, 0x9e3779b9) + key0;
  x = exclusive_or(x, down(x, 16)) * like(id, 0x21f0aaad);
  x = exclusive_or(x, down(x, 15)) * like(id, 0xd35a2d97);
  x = exclusive_or(exclusive_or(x, down(x, 15)), key1);
  x = exclusive_or(x, down(x, 16)) * like(id, 0x7feb352d);
  x = exclusive_or(x, down(x, 15)) * like(id, 0x846ca68b);
  return exclusive_or(x, down(x, 16));
}

// The Gumbel variate -ln(-ln(1 - u)), u = (hash + 1/2) / 2^32, plus 4, in Q24: between 0.8 and 27.
// For u < 1/2 it is -ln u - ln(-ln(1 - u) / u): small u, where large variates come from, keep their
// relative precision.
template <typename Word>
Word gumbel(Word hash) {
  const Word half = like(hash, 0x80000000), all = like(hash, 0xffffffff);
  const Word nearest = if_below(hash, half, hash, all - hash);  // min(u, 1 - u) = odd / 2^33
  const Word odd = nearest + nearest + like(hash, 1);
  const Word log = minus_log(odd, 33);
  // ln(-ln(1 - u) / u) = 0.32663 (its value at 1/2) less a polynomial in 1 - 2u.
  const Word below = log - down(like(hash, 701441732) - alternating(all - odd, kHalfLog), 4);
  const Word above = minus_log(log, 27);
  return down(if_below(hash, half, below, above) + like(hash, uint32_t{4} << 27), 3);
}

// e^-x = fraction / 2^31 / 2^octaves; x: Q24, at most 63 * 2^24.
template <typename Word>
struct Exponential {
  Word fraction, octaves;
};
template <typename Word>
Exponential<Word> exponential(Word x) {
  const Word log2 = high_product(up(x, 2), like(x, kLog2eQ31));  // Q25
  return {like(x, 0x80000000) - alternating(up(log2, 7), kExp2), down(log2, 25)};
}

// Weights are e^-x in Q42: the sum of a whole vocabulary stays below 2^62, so that no sum, nor the
// product that takes a share of it, reaches the 64th bit.
inline constexpr int kWeightBits = 42;
inline constexpr int64_t kMostVocab = int64_t{1} << 20;
// Logits are compared by how far they lie below the largest, at most this.
inline constexpr int kLowest = -63;
// What a temperature may be on the device, besides 0.
inline constexpr float kLeastTemperature = 1e-30f, kMostTemperature = 1e30f;

}  // namespace continuo::ops::sampling

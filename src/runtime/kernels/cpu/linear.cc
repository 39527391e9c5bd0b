#include "runtime/kernels/cpu/linear.h"

#include <algorithm>

// Highway compiles this file once for each instruction set: foreach_target.h includes it again.
// Vectors lie in arrays here, so their size must be known: the scalable sets are left out.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/linear.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace continuo::runtime::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;
constexpr int64_t kLanes = hn::MaxLanes(Floats());

// A tile's sums, a vector of each of its lines and one of x fill the registers: 32 of AVX-512, 16.
constexpr int kTileRows = HWY_TARGET <= HWY_AVX3 ? 8 : 4;
constexpr int kTileLines = 2;
// Lines are taken in blocks and cut in pieces of this many floats, so that x's pieces stay in the
// first cache (16 KiB of 8 rows) while a block goes by.
constexpr int64_t kPiece = 512;
constexpr int64_t kBlockLines = kLinearBlock;

// kRows rows of x with kLines lines of w, both `in` apart, added to sums [kRows, kBlockLines]: the
// order of a sum's terms is the same in every tile. Asks for the lines at `next` meanwhile.
template <int kRows, int kLines>
HWY_INLINE void tile(const float* HWY_RESTRICT x, const float* HWY_RESTRICT w, const float* next,
                     float* HWY_RESTRICT sums, int64_t in, int64_t count) {
  const Floats d;
  Vector sum[kRows][kLines];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int l = 0; l < kLines; ++l) sum[r][l] = hn::Load(d, sums + (r * kBlockLines + l) * kLanes);
  const auto add = [&](int64_t i, const auto& load) HWY_ATTR {
    Vector line[kLines];
#pragma GCC unroll 4
    for (int l = 0; l < kLines; ++l) line[l] = load(w + l * in + i);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Vector value = load(x + r * in + i);
#pragma GCC unroll 4
      for (int l = 0; l < kLines; ++l) sum[r][l] = hn::MulAdd(value, line[l], sum[r][l]);
    }
  };
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
#pragma GCC unroll 4
    for (int l = 0; l < kLines; ++l) __builtin_prefetch(next + l * in + i);
    add(i, [&](const float* from) HWY_ATTR { return hn::LoadU(d, from); });
  }
  if (i < count) {
    add(i, [&](const float* from) HWY_ATTR {  // masked loads of some sets read beyond the mask
      HWY_ALIGN float rest[kLanes] = {};
      std::copy_n(from, count - i, rest);
      return hn::Load(d, rest);
    });
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int l = 0; l < kLines; ++l) hn::Store(sum[r][l], d, sums + (r * kBlockLines + l) * kLanes);
}

template <int kRows>
HWY_INLINE void exactly(const float* x, const float* w, const float* next, float* sums, int64_t in,
                        int64_t count, int64_t lines) {
  if (lines >= kTileLines)
    tile<kRows, kTileLines>(x, w, next, sums, in, count);
  else
    tile<kRows, 1>(x, w, next, sums, in, count);
}

// The same for a number of rows that is known at run time, 1 to kRows.
template <int kRows = kTileRows>
HWY_INLINE void rows_with(int64_t rows, const float* x, const float* w, const float* next,
                          float* sums, int64_t in, int64_t count, int64_t lines) {
  if constexpr (kRows > 1)
    if (rows < kRows) return rows_with<kRows - 1>(rows, x, w, next, sums, in, count, lines);
  exactly<kRows>(x, w, next, sums, in, count, lines);
}

// A block of lines with up to kTileRows rows.
void block(const float* x, const float* w, float* y, int64_t rows, int64_t in, int64_t out,
           int64_t lines) {
  HWY_ALIGN float sums[kTileRows * kBlockLines * kLanes] = {};
  for (int64_t i = 0; i < in; i += kPiece) {
    const int64_t count = std::min(kPiece, in - i);
    for (int64_t l = 0; l < lines; l += kTileLines) {
      const float* next = l + kTileLines < lines ? w + (l + kTileLines) * in + i : w + i + kPiece;
      rows_with(rows, x + i, w + l * in + i, next, sums + l * kLanes, in, count, lines - l);
    }
  }
  const Floats d;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t l = 0; l < lines; ++l)
      y[r * out + l] =
          hn::GetLane(hn::SumOfLanes(d, hn::Load(d, sums + (r * kBlockLines + l) * kLanes)));
}

void linear(const float* x, const float* w, float* y, int64_t rows, int64_t in, int64_t out,
            int64_t begin, int64_t end) {
  for (int64_t line = begin; line < end; line += kBlockLines)
    for (int64_t r = 0; r < rows; r += kTileRows)  // after the first, the lines are in the cache
      block(x + r * in, w + line * in, y + r * out + line, std::min<int64_t>(kTileRows, rows - r),
            in, out, std::min(kBlockLines, end - line));
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace continuo::runtime::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace continuo::runtime::kernels {

HWY_EXPORT(linear);

void linear(const float* x, const float* w, float* y, int64_t rows, int64_t in, int64_t out,
            int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(linear)(x, w, y, rows, in, out, begin, end);
}

}  // namespace continuo::runtime::kernels
#endif

#include "runtime/kernels/cpu/attention_spans.h"

#include <algorithm>
#include <cmath>
#include <limits>

// As in linear.cc: once for each instruction set, without the scalable ones.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/cpu/attention_spans.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "hwy/contrib/math/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace continuo::runtime::kernels {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;
constexpr int64_t kLanes = hn::MaxLanes(Floats());
constexpr float kLowest = -std::numeric_limits<float>::infinity();
constexpr int kTileRows = HWY_TARGET <= HWY_AVX3 ? 8 : 4;
constexpr int kTileVectors = 2;

// A product of small matrices: c:[rows,columns] (+)= a:[rows,inner] @ b:[inner,columns].
struct Product {
  const float *a, *b;
  float* c;
  int64_t a_line, b_line, c_line;
  int64_t rows, inner, columns;  // columns: a multiple of kPad
  bool add;
};

// The terms of a sum come in one order, whatever tile it is in.
template <int kRows, int kVectors>
HWY_INLINE void tile(const Product& p, int64_t row, int64_t column) {
  const Floats d;
  const float* HWY_RESTRICT a = p.a + row * p.a_line;
  const float* HWY_RESTRICT b = p.b + column;
  float* HWY_RESTRICT c = p.c + row * p.c_line + column;
  Vector sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int l = 0; l < kVectors; ++l)
      sum[r][l] = p.add ? hn::LoadU(d, c + r * p.c_line + l * kLanes) : hn::Zero(d);
  for (int64_t i = 0; i < p.inner; ++i) {
    Vector line[kVectors];
#pragma GCC unroll 4
    for (int l = 0; l < kVectors; ++l) line[l] = hn::LoadU(d, b + i * p.b_line + l * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Vector each = hn::Set(d, a[r * p.a_line + i]);
#pragma GCC unroll 4
      for (int l = 0; l < kVectors; ++l) sum[r][l] = hn::MulAdd(each, line[l], sum[r][l]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int l = 0; l < kVectors; ++l) hn::StoreU(sum[r][l], d, c + r * p.c_line + l * kLanes);
}

template <int kVectors, int kRows = kTileRows>
HWY_INLINE void rows_of(const Product& p, int64_t row, int64_t column) {
  if constexpr (kRows > 1)
    if (p.rows - row < kRows) return rows_of<kVectors, kRows - 1>(p, row, column);
  tile<kRows, kVectors>(p, row, column);
}

void multiply(const Product& p) {
  int64_t column = 0;
  for (; column + kTileVectors * kLanes <= p.columns; column += kTileVectors * kLanes)
    for (int64_t row = 0; row < p.rows; row += kTileRows) rows_of<kTileVectors>(p, row, column);
  for (; column < p.columns; column += kLanes)
    for (int64_t row = 0; row < p.rows; row += kTileRows) rows_of<1>(p, row, column);
}

// scores[r, j] = queries:[kRows, padded(D)] . k[j], for keys of D floats. Asks for the values `v`
// meanwhile: V floats a key.
template <int kRows>
HWY_INLINE void dots(const float* HWY_RESTRICT queries, const float* HWY_RESTRICT k, const float* v,
                     float* HWY_RESTRICT scores, int64_t keys, int64_t D, int64_t V) {
  constexpr int64_t kLine = 16;  // floats of a line of the cache
  const Floats d;
  const int64_t line = padded(D), whole = D / kLanes * kLanes;
  for (int64_t j = 0; j < keys; ++j, k += D, v += V) {
    for (int64_t i = 0; i < V; i += kLine) __builtin_prefetch(v + i, 0, 2);
    Vector sum[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) sum[r] = hn::Zero(d);
    const auto add = [&](int64_t i, Vector key) HWY_ATTR {
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r)
        sum[r] = hn::MulAdd(hn::LoadU(d, queries + r * line + i), key, sum[r]);
    };
    for (int64_t i = 0; i < whole; i += kLanes) add(i, hn::LoadU(d, k + i));
    if (whole < D) {  // a vector would read the next key, which may be nobody's
      HWY_ALIGN float rest[kLanes] = {};
      std::copy(k + whole, k + D, rest);
      add(whole, hn::Load(d, rest));
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r)
      scores[r * kScoreLine + j] = hn::GetLane(hn::SumOfLanes(d, sum[r]));
  }
}

template <int kRows = kFewQueries>
HWY_INLINE void few_dots(int64_t rows, const float* queries, const float* k, const float* v,
                         float* scores, int64_t keys, int64_t D, int64_t V) {
  if constexpr (kRows > 1)
    if (rows < kRows) return few_dots<kRows - 1>(rows, queries, k, v, scores, keys, D, V);
  dots<kRows>(queries, k, v, scores, keys, D, V);
}

// k:[keys,D] -> [D,kKeys], zero behind the last key.
void transpose(const float* HWY_RESTRICT k, float* HWY_RESTRICT to, int64_t keys, int64_t D) {
  const Floats d;
  const int64_t whole = D / kLanes * kLanes, fours = keys / 4 * 4;
  HWY_ALIGN float block[4 * kLanes];
  for (int64_t j = 0; j < fours; j += 4)
    for (int64_t i = 0; i < whole; i += kLanes) {
      const float* from = k + j * D + i;
      hn::StoreInterleaved4(hn::LoadU(d, from), hn::LoadU(d, from + D), hn::LoadU(d, from + 2 * D),
                            hn::LoadU(d, from + 3 * D), d, block);
      for (int64_t l = 0; l < kLanes; ++l) std::copy_n(block + 4 * l, 4, to + (i + l) * kKeys + j);
    }
  for (int64_t j = 0; j < keys; ++j)
    for (int64_t i = j < fours ? whole : 0; i < D; ++i) to[i * kKeys + j] = k[j * D + i];
  for (int64_t i = 0; i < D && keys < padded(keys); ++i)
    std::fill(to + i * kKeys + keys, to + i * kKeys + padded(keys), 0.0f);
}

// Scores of n queries with the keys at positions [begin, end) of the span that starts at `base`.
void score(const AttentionCall& call, const float* k, const float* v, const Scratch& scratch,
           int64_t n, int64_t base, int64_t begin, int64_t end) {
  for (int64_t from = begin; from < end; from += kKeys) {
    const int64_t keys = std::min(kKeys, end - from);
    float* scores = scratch.scores + (from - base);
    if (n <= kFewQueries) {
      few_dots(n, scratch.queries, k + from * call.D, v + from * call.V, scores, keys, call.D,
               call.V);
      continue;
    }
    transpose(k + from * call.D, scratch.keys, keys, call.D);
    multiply({scratch.queries, scratch.keys, scores, padded(call.D), kKeys, kScoreLine, n, call.D,
              padded(keys), false});
  }
}

// One query's scores[begin, end) become weights, of which [from, to) are seen; the rest are zero.
// begin and end are multiples of kPad.
HWY_INLINE void soften(float* HWY_RESTRICT scores, int64_t begin, int64_t end, int64_t from,
                       int64_t to, float softcap, float& top, float& sum) {
  const Floats d;
  top = kLowest;
  sum = 0;
  if (from >= to) return std::fill(scores + begin, scores + end, 0.0f);
  for (int64_t j = begin; softcap > 0 && j < end; j += kLanes) {
    const Vector x = hn::Div(hn::LoadU(d, scores + j), hn::Set(d, softcap));
    const Vector capped = hn::Mul(hn::Tanh(d, x), hn::Set(d, softcap));
    hn::StoreU(hn::IfThenElse(hn::IsNaN(x), x, capped), d, scores + j);
  }
  std::fill(scores + begin, scores + from, kLowest);
  std::fill(scores + to, scores + end, kLowest);
  Vector highest = hn::Set(d, kLowest);
  for (int64_t j = begin; j < end; j += kLanes)
    highest = hn::Max(highest, hn::LoadU(d, scores + j));
  top = hn::GetLane(hn::MaxOfLanes(d, highest));
  const Vector shift = hn::Set(d, top == kLowest ? 0 : top);
  Vector total = hn::Zero(d);
  for (int64_t j = begin; j < end; j += kLanes) {
    const Vector below = hn::Sub(hn::LoadU(d, scores + j), shift);
    // Highway's functions make numbers of what is none: it must stay what it is.
    const Vector weight = hn::IfThenElse(hn::IsNaN(below), below, hn::Exp(d, below));
    total = hn::Add(total, weight);
    hn::StoreU(weight, d, scores + j);
  }
  sum = hn::GetLane(hn::SumOfLanes(d, total));
}

// values:[n, padded(Dv)] = weights of the span @ v at positions [begin, end).
void weigh(const AttentionCall& call, const float* v, const Scratch& scratch, int64_t n,
           int64_t base, int64_t begin, int64_t end) {
  const int64_t columns = padded(call.Dv);
  for (int64_t from = begin; from < end; from += kKeys) {
    const int64_t keys = std::min(kKeys, end - from);
    const float* lines = v + from * call.V;
    int64_t line = call.V;
    if (columns != call.Dv) {
      for (int64_t j = 0; j < keys; ++j) {
        float* to = scratch.lines + j * columns;
        std::fill(std::copy_n(lines + j * call.V, call.Dv, to), to + columns, 0.0f);
      }
      lines = scratch.lines;
      line = columns;
    }
    multiply({scratch.scores + (from - base), lines, scratch.span.values, kScoreLine, line, columns,
              n, keys, columns, from > begin});
  }
}

// Adds a span's softmax to what came before it.
void add_span(const Softmax& span, const Softmax& total, int64_t n, int64_t columns) {
  const Floats d;
  for (int64_t i = 0; i < n; ++i) {
    if (span.sum[i] == 0) continue;  // it saw nothing
    float* to = total.values + i * columns;
    const float* from = span.values + i * columns;
    if (total.sum[i] == 0) {
      total.top[i] = span.top[i];
      total.sum[i] = span.sum[i];
      std::copy_n(from, columns, to);
      continue;
    }
    const float top = std::max(total.top[i], span.top[i]);
    const float keep = std::exp(total.top[i] - top), take = std::exp(span.top[i] - top);
    total.top[i] = top;
    total.sum[i] = total.sum[i] * keep + span.sum[i] * take;
    const Vector keeps = hn::Set(d, keep), takes = hn::Set(d, take);
    for (int64_t j = 0; j < columns; j += kLanes) {
      const Vector scaled = hn::Mul(hn::LoadU(d, to + j), keeps);
      hn::StoreU(hn::MulAdd(hn::LoadU(d, from + j), takes, scaled), d, to + j);
    }
  }
}

// The softmax of a part's queries over its positions, into `out`.
void attend(const AttentionCall& call, const Attention::Part& part, const Scratch& scratch,
            const Softmax& out) {
  const int64_t n = part.count, G = call.Hq / call.Hk, columns = padded(call.Dv);
  const int64_t head = int64_t{call.slot[part.row]} * call.Hk + part.head;
  const float *k = call.k + head * call.S * call.D, *v = call.v + head * call.S * call.V;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t t = (part.first + i) / G, g = (part.first + i) % G;
    const float* q = call.q + ((part.row * call.T + t) * call.Hq + part.head * G + g) * call.D;
    float* to = scratch.queries + i * padded(call.D);
    for (int64_t j = 0; j < call.D; ++j) to[j] = q[j] * call.scale;
    std::fill(to + call.D, to + padded(call.D), 0.0f);
  }
  std::fill_n(out.top, n, kLowest);
  std::fill_n(out.sum, n, 0.0f);
  std::fill_n(out.values, n * columns, 0.0f);
  for (int64_t begin = part.begin; begin < part.end;) {
    const int64_t base = begin / kAttentionSpan * kAttentionSpan;
    const int64_t end = std::min(part.end, base + kAttentionSpan);
    score(call, k, v, scratch, n, base, begin, end);
    const int64_t low = (begin - base) / kPad * kPad, high = padded(end - base);
    for (int64_t i = 0; i < n; ++i) {
      const int64_t own = call.start[part.row] + (part.first + i) / G;
      const int64_t first = call.window > 0 ? own - call.window + 1 : 0;
      soften(scratch.scores + i * kScoreLine, low, high, std::max(begin, first) - base,
             std::min(end, own + 1) - base, call.softcap, scratch.span.top[i], scratch.span.sum[i]);
    }
    weigh(call, v, scratch, n, base, begin, end);
    add_span(scratch.span, out, n, columns);
    begin = end;
  }
}

// What the queries of `part` weighed, divided by their weights' sum, into y.
void write(const AttentionCall& call, const Attention::Part& part, const Softmax& softmax) {
  const int64_t G = call.Hq / call.Hk;
  for (int64_t i = 0; i < part.count; ++i) {
    const int64_t t = (part.first + i) / G, h = part.head * G + (part.first + i) % G;
    float keep = 1, sum = softmax.sum[i];
    if (call.sinks != nullptr) {
      const float top = std::max(softmax.top[i], call.sinks[h]);
      keep = std::exp(softmax.top[i] - top);
      sum = sum * keep + std::exp(call.sinks[h] - top);
    }
    const float* from = softmax.values + i * padded(call.Dv);
    float* to = call.y + ((part.row * call.T + t) * call.Hq + h) * call.Dv;
    for (int64_t j = 0; j < call.Dv; ++j) to[j] = from[j] * keep / sum;
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace continuo::runtime::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace continuo::runtime::kernels {

HWY_EXPORT(attend);
HWY_EXPORT(add_span);
HWY_EXPORT(write);

void attend(const AttentionCall& call, const Attention::Part& part, const Scratch& scratch,
            const Softmax& out) {
  HWY_DYNAMIC_DISPATCH(attend)(call, part, scratch, out);
}
void merge(const Softmax& span, const Softmax& total, int64_t n, int64_t columns) {
  HWY_DYNAMIC_DISPATCH(add_span)(span, total, n, columns);
}
void write(const AttentionCall& call, const Attention::Part& part, const Softmax& softmax) {
  HWY_DYNAMIC_DISPATCH(write)(call, part, softmax);
}

}  // namespace continuo::runtime::kernels
#endif

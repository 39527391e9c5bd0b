// The arithmetic of attention.h: what a part's queries weigh, span by span. Compiled for several
// instruction sets; called by attention.cc alone.
#pragma once

#include <cstddef>
#include <vector>

#include "runtime/kernels/cpu/attention.h"

namespace continuo::runtime::kernels {

// Lines of scratch are padded to the longest vector, so that no loop over them has a tail.
constexpr int64_t kPad = 16;
constexpr int64_t padded(int64_t size) { return (size + kPad - 1) / kPad * kPad; }
// Queries of a part: its scores of a span, and its keys below, stay in the second cache.
constexpr int64_t kQueries = 96;
// Up to so many queries a key is multiplied where it lies; for more, keys are transposed first.
constexpr int64_t kFewQueries = 8;
constexpr int64_t kKeys = 64;  // transposed, or padded, at once
constexpr int64_t kScoreLine = kAttentionSpan + kPad;

// Where a query's softmax stands after some spans; values are padded(Dv) apart.
struct Softmax {
  float* top;     // [n]
  float* sum;     // [n], of exp(score - top)
  float* values;  // [n, padded(Dv)], weighted by the same
};

// One thread's memory, kept from call to call.
struct Scratch {
  Scratch(const AttentionCall& call, int64_t n) {
    thread_local std::vector<float> memory;
    const int64_t sizes[] = {n * padded(call.D),      n * kScoreLine, padded(call.D) * kKeys,
                             kKeys * padded(call.Dv), padded(n),      padded(n),
                             n * padded(call.Dv),     padded(n),      padded(n),
                             n * padded(call.Dv)};
    int64_t all = kPad;
    for (const int64_t size : sizes) all += size;
    if (static_cast<int64_t>(memory.size()) < all) memory.resize(static_cast<size_t>(all));
    float* next = memory.data();
    while (reinterpret_cast<uintptr_t>(next) % (kPad * sizeof(float)) != 0) ++next;
    const int64_t* size = sizes;
    for (float** place : {&queries, &scores, &keys, &lines, &span.top, &span.sum, &span.values,
                          &total.top, &total.sum, &total.values}) {
      *place = next;
      next += *size++;
    }
  }
  float *queries, *scores, *keys, *lines;
  Softmax span, total;
};

// The softmax of a part's queries over its positions, into `out`.
void attend(const AttentionCall& call, const Attention::Part& part, const Scratch& scratch,
            const Softmax& out);
// Adds the softmax of later positions, of n queries with `columns` values each, to `total`.
void merge(const Softmax& span, const Softmax& total, int64_t n, int64_t columns);
// What the queries of `part` weighed, divided by their weights' sum, into y.
void write(const AttentionCall& call, const Attention::Part& part, const Softmax& softmax);

}  // namespace continuo::runtime::kernels

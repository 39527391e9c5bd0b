// Attention over a slot's keys and values, read where they lie: no row reads more of its slot than
// it may see, and nothing of another. Float32, with the softmax taken in spans of positions.
//
// The arithmetic is compiled for several instruction sets, chosen at the first call (Highway).
#pragma once

#include <cstdint>
#include <vector>

namespace continuo::runtime::kernels {

// Positions whose scores are held at once. Spans begin at multiples of it, and their results are
// merged in order: a query's value depends on its own row, column and keys alone, bit for bit, in
// whatever parts the work is cut.
inline constexpr int64_t kAttentionSpan = 256;

// Symbols as in ops/step.h; V floats lie from one value to the next, of which Dv are taken, so that
// values may be the front of the keys' own lines (latent attention).
struct AttentionCall {
  const float* q = nullptr;       // [R,T,Hq,D]
  const float* k = nullptr;       // [B,Hk,S,D]
  const float* v = nullptr;       // [B,Hk,S,V]
  const float* sinks = nullptr;   // [Hq], or none
  float* y = nullptr;             // [R,T,Hq,Dv]; zero at padding columns and idle rows
  const int32_t* slot = nullptr;  // [R], as the others: in range
  const int32_t* start = nullptr;
  const int32_t* length = nullptr;
  int64_t R = 0, T = 0, Hq = 0, Hk = 0, S = 0, D = 0, V = 0, Dv = 0;
  float scale = 1;
  float softcap = 0;   // 0 = none
  int64_t window = 0;  // 0 = all
};

// One call, cut into parts that may be computed in any order.
class Attention {
 public:
  explicit Attention(const AttentionCall& call);

  int64_t parts() const { return static_cast<int64_t>(parts_.size()); }
  // Multiplications with keys and values: what the call costs.
  int64_t products() const { return products_; }
  // Computes parts [begin, end). Any thread; each part once. May throw std::bad_alloc.
  void run(int64_t begin, int64_t end);
  // After all parts: merges them, and writes what no part does.
  void finish();

  // Some queries of one row and key head, over spans that follow each other. Query i is column
  // i / G, head i % G of the group.
  struct Part {
    int64_t row = 0, head = 0;
    int64_t first = 0, count = 0;  // queries
    int64_t begin = 0, end = 0;    // positions
    int64_t offset = -1;           // in `partial_`; negative: the part is the whole, written to y
  };

 private:
  void add_row(int64_t row, bool split);
  int64_t partial_size(int64_t queries) const;

  AttentionCall call_;
  std::vector<Part> parts_;
  std::vector<float> partial_;  // of each part: maxima, sums, weighted values of its queries
  int64_t products_ = 0;
};

}  // namespace continuo::runtime::kernels

// What a graph must know of the device it will run on. Plain data: the executor fills it in, ops
// choose their spelling by it, families never look at it.
#pragma once

#include <string>
#include <vector>

#include "base/dtype.h"

namespace continuo::graph {

// How new rows get into a KV array [B,H,S,D].
enum class KvWrite {
  kScatter,      // rows of one column by one scatter on a flat index: best on CUDA
  kUpdateSlice,  // a dynamic_update_slice a row: best on CPU
};

struct Target {
  std::string platform = "cpu";
  DType weights = DType::kF32;   // linear weights and embeddings on the device
  DType kv = DType::kF32;        // keys and values; recurrent state is always float32
  bool linear_out_in = false;    // layout of a linear weight: [out,in], or [in,out]
  bool one_row_as_sums = false;  // x:[1,in] @ w:[out,in] as sums over w's lines, not as a product
  bool exact_dots = true;        // ask for HIGHEST precision (CUDA may otherwise use TF32)
  KvWrite kv_write = KvWrite::kUpdateSlice;
  // A barrier between a state array's write and what reads it. Without it XLA repeats the write in
  // each reader, on a copy of the array; IREE takes what the barrier gives for another array, and
  // copies it back.
  bool barrier_after_write = true;
  // An array that a step writes anew from the old one takes over its memory. IREE orders such a
  // write after the reads its own value needs, and not after all others.
  bool reuse_rewritten = true;
  bool samples = true;      // heads that sample compile, and are quicker than choosing on the host
  bool loops_wait = false;  // each turn of a loop waits for the host to read its condition
  bool naive_recurrences = false;    // loops over columns: the oracle, to test and measure against
  std::vector<std::string> kernels;  // custom calls that the executor has
  // Positions that attention without a kernel takes at a time, in a loop up to the longest row;
  // 0: all attended ones at once.
  int64_t attention_block = 0;
  int64_t prefill_columns = 256;  // a wider prefill step gains nothing here, or takes long to yield

  bool has_kernel(const std::string& kernel) const {
    for (const std::string& each : kernels)
      if (each == kernel) return true;
    return false;
  }
  bool has_attention_kernel() const {
    return kv == DType::kF32 && has_kernel("continuo.attention");
  }
  // Attention reads what a row may see, where it lies, and no more: a graph needs no bucket of
  // attended positions.
  bool attends_in_place() const { return attention_block > 0 || has_attention_kernel(); }
};

}  // namespace continuo::graph

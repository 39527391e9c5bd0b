// Time in chunks: what the chunked spellings of linear recurrences share. C: columns of a chunk, a
// power of two; B: any leading batch. All float32.
#pragma once

#include <vector>

#include "ops/step.h"

namespace continuo::ops {

// how(row, column) of a square's indices: bool [size,size].
Value index_mask(Graph& graph, int64_t size, Compare how);

// The chunk for T columns: `wanted`, or the power of two that holds fewer.
int64_t chunk_size(int64_t columns, int64_t wanted);

// x:[R,T,H,D] -> [n,R*H,C,D] with n = ceil(T/C); what is past T is zero.
Value to_chunks(Value x, int64_t chunk);
// The way back: [n,R*H,C,D] -> [R,T,H,D].
Value from_chunks(Value x, int64_t rows, int64_t columns);

// valid:[R,T], true up to a row's length -> [n,R*H]: does chunk c hold a valid column of the row?
// Empty where `valid` is.
Value live_chunks(Value valid, int64_t chunk, int64_t heads);

// One turn of a scan: slices of the arrays, then what all turns share -> {carried, out}.
using ScanBody =
    std::function<std::pair<Value, Value>(Value carried, const std::vector<Value>& slices)>;
struct ScanOptions {
  Value live;                 // what is padding; empty = nothing
  std::vector<Value> shared;  // every turn's, whole
};

// for (c = 0; c < n; ++c) (carried, out[c]) = body(carried, slices[c]); arrays: [n, ...] each.
// -> {carried, out:[n, ...]}. One chunk needs no loop.
// live:[n,B] beside carried:[B,...]: where it is false, `carried` stays bit for bit. Decay 1 and
// input 0 are not enough for that: they make +0 of -0.
std::pair<Value, Value> scan_chunks(Value carried, const std::vector<Value>& arrays,
                                    const ScanBody& body, const ScanOptions& options = {});

// arrays:[R,T,...], a column at a time: slices:[R,...], live:[R,T] -> {state, out:[R,T,...]}.
std::pair<Value, Value> scan_columns(Value state, const std::vector<Value>& arrays,
                                     const ScanBody& body, const ScanOptions& options);

// arrays:[R,T,...], `span` columns at a time: slices:[R,span,...], live:[R,T], which a span of
// padding only obeys -> {state, out:[R,T,...]}. Behind the last column stand zeros. Keeps what a
// long prompt's chunks need in the cache, where one product over all would not be faster.
std::pair<Value, Value> scan_spans(Value state, const std::vector<Value>& arrays, int64_t span,
                                   const ScanBody& body, const ScanOptions& options);

// Columns of a chunk and of a span (0 = all) for a target.
struct ChunkPlan {
  int64_t chunk = 64, span = 0;
};
ChunkPlan chunk_plan(const Target& target);

// (I - lower)^-1 for a strictly lower lower:[B...,C,C]. By blocks of doubling size, each from the
// inverses of its halves: as stable as substitution, where powers of `lower` would cancel.
Value unit_lower_inverse(Value lower);

// Products between the columns of a chunk under a decay a step:
//   between[x][y][i,j] = sum_d rows[x][i,d] columns[y][j,d] exp(g[j+1,d] + ... + g[i-1,d]), j < i
// and 0 elsewhere. rows, columns: [B,C,K]; g:[B,C,K] or [B,C,1] (one decay for all), each <= 0.
// Only sums of equal sign go through exp, so nothing overflows or cancels. `lowest`: no g is below
// it; where C * lowest is small too, one product of scaled rows and columns does.
struct DecayedProducts {
  std::vector<std::vector<Value>> between;  // [B,C,C] each
  Value before;                             // exp(g[0] + ... + g[i-1]), as g
  Value after;                              // exp(g[i+1] + ... + g[C-1]), as g
  Value whole;                              // exp(sum of g), [B,1,K] or [B,1,1]
};
DecayedProducts decayed_products(const std::vector<Value>& rows, const std::vector<Value>& columns,
                                 Value g, double lowest = -1e30);

// One chunk of a state S:[B,K,V] that is moved by a low-rank update a column (the WY form of Yang
// et al. 2024, arXiv 2406.06484):
//   u = local_u - into_u . S,  out = read . S + mix . [u; extra],  S' = whole * S + write^T [u;
//   extra]
struct LowRankChunks {
  Value into_u, local_u;  // [n,B,C,K], [n,B,C,V]
  Value read;             // [n,B,C,K]
  Value mix;              // [n,B,C,C], or [n,B,C,2C] with `extra`
  Value write;            // [n,B,C,K], or [n,B,2C,K] with `extra`
  Value whole;            // [n,B,K,1] or [n,B,1,1]
  Value extra;            // [n,B,C,V]: columns beside u; empty = none
  Value live;             // [n,B], as scan_chunks has it
};
// -> {S after the last chunk, out:[n,B,C,V]}
std::pair<Value, Value> scan_low_rank(const LowRankChunks& chunks, Value state);

}  // namespace continuo::ops

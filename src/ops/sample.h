// Choosing a token from a row of logits on the device: temperature, top-k, top-p, min-p, then the
// Gumbel-max trick (Gumbel 1954, Maddison et al. 2014): argmax(logit / temperature + noise) is
// distributed as softmax(logit / temperature). No sort: thresholds are found by searching the bits
// of the logits. engine/choose.h is the host's spelling and gives the same tokens.
#pragma once

#include "graph/graph.h"
#include "graph/target.h"

namespace continuo::ops {

// A row's parameters, as engine/choose.h's DeviceSample packs them.
struct SampleInputs {
  graph::Value temperature;  // [R] f32; 0 = the largest logit, the lowest id among equals
  graph::Value top_k;        // [R] i32; 0 = off
  graph::Value top_p;        // [R] f32, 0 < p; >= 1 = off
  graph::Value min_p;        // [R] f32; 0 = off
  graph::Value key;          // [R,2] i32: any bits; noise is a function of key and token id
};

// How a threshold is searched: a bit a turn of a loop, which ends as soon as all rows are certain;
// or several bits a pass, all passes written out, where each turn of a loop waits for the host
// (Target::loops_wait). Both find the same tokens.
enum class Search { kLoop, kUnrolled };
Search search_on(const graph::Target& target);

// logits:[R,V] f32 -> [R] i32. `truncate` false: the graph reads neither top_k, top_p nor min_p,
// which may be empty. Ties at a threshold are kept. Tokens of logit -inf or NaN are only chosen in
// a row that has nothing else; NaN counts as less than -inf. V <= 2^20.
graph::Value sample(graph::Value logits, const SampleInputs& in, bool truncate, Search search);

// What ops/penalise.h shares: i32 in the order of the logits, both zeros equal, NaN the least; and
// a key's logit, as i32 bits.
graph::Value likelihood_key(graph::Value logits);
graph::Value logit_bits(graph::Value key);
// logits:[R,V] f32 -> e^(logit - the row's largest) in units of 2^-kWeightBits, u64.
graph::Value softmax_weights(graph::Value logits);

}  // namespace continuo::ops

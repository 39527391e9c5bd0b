// What changes a row's logits by its answer's history, on the device, and what a client may want to
// know of them: engine/penalties.h and engine/sampler.h are the host's spelling and give the same
// bits. Every product and sum is rounded by itself, and subnormal numbers are zeros, which some
// devices take them for.
#pragma once

#include "graph/graph.h"

namespace continuo::ops {

// A row has a word for each token id: these flags, and kOnce times its times in the answer.
enum Mark : int32_t {
  kInPrompt = 1,
  kEndsAnswer = 2,
  kOnce = 4,
};

// The token of a row whose penalties, bias and forbidden tokens leave nothing to choose.
inline constexpr int32_t kNothingAllowed = -2;

struct PenaltyInputs {
  graph::Value on;          // [R] i32; 0 = the row's marks and bias belong to nobody
  graph::Value repetition;  // [R] f32, of tokens in prompt or answer
  graph::Value reciprocal;  // [R] f32, 1 / repetition: a division is spelled
                            // differently everywhere
  graph::Value frequency;   // [R] f32
  graph::Value presence;    // [R] f32
  graph::Value unfinished;  // [R] i32; not 0 = no token that ends the answer may come yet
};

// logits:[R,V] f32, marks:[R,V] i32, bias:[R,V] f32 -> [R,V] f32
graph::Value penalise(graph::Value logits, graph::Value marks, graph::Value bias,
                      const PenaltyInputs& in);

// A line of report(): of softmax(logits) the sum that divides it, in units of 2^-kWeightBits, the
// largest logit, the chosen token's, and the likeliest ids with their logits, bit by bit.
enum ReportField : int64_t {
  kTotalField,  // two words, the lower first
  kLargestField = kTotalField + 2,
  kChosenField,
  kLikeliestField,
};
constexpr int64_t report_width(int64_t most) { return kLikeliestField + 2 * most; }

// logits:[R,V] f32, tokens:[R] i32, wanted:[R] i32, at most `most` -> [R,report_width(most)] i32.
// What no row wants is not looked for. The lower id comes first among equals, NaN last.
graph::Value report(graph::Value logits, graph::Value tokens, graph::Value wanted, int64_t most);

}  // namespace continuo::ops

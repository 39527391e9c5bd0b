// Probe: feeds one sequence in a chosen way, in a chosen row among others, and reads its logits:
// what `logits` and `verify` are made of. The answer must not depend on the way or on the row
// beyond its last bits (docs/determinism.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/stepper.h"

namespace continuo::engine {

// How a prompt is cut: columns = 0: whole; 1: token by token; else chunks of that many.
struct Feed {
  int64_t columns = 0;
  std::string name() const;
};
Result<Feed> parse_feed(const std::string& text);  // whole | token | chunk:K

struct ProbeOptions {
  Feed feed;
  int64_t row = 0, rows = 1;  // the sequence's row; other rows hold other sequences
  // As an engine does: the prompt by one row that points at slot `row`, the rest by all in place.
  bool indirect = false;
  int64_t width = 0;   // columns of the graph that takes a chunk; 0 = as many as the chunk
  int64_t greedy = 0;  // tokens to continue with
  std::vector<int32_t> forced = {};  // teacher forcing: fed in place of the greedy ones, as many
  int64_t longest = 0;  // feed whole: columns for this many tokens at least, so that prompts
                        // of several lengths share a graph
  // Buckets of positions, as the engine has them; empty: every step attends over the context.
  std::vector<int64_t> attended = {};
};

struct ProbeResult {
  std::vector<float> logits;                    // at the prompt's last position
  std::vector<int32_t> greedy;                  // the best of each step, whatever was fed
  std::vector<std::vector<float>> step_logits;  // before each greedy token, if asked for
};

// `stepper` has options.rows slots, whose state it overwrites. One thread.
Result<ProbeResult> probe(Stepper& stepper, const std::vector<int32_t>& ids,
                          const ProbeOptions& options, bool keep_step_logits = false);

// Hidden states of the last token: embedding, after each layer, the last normed. [L+1][H]
Result<std::vector<std::vector<float>>> probe_layers(Stepper& stepper,
                                                     const std::vector<int32_t>& ids);

// The number of columns of the graph that takes `count` tokens at once: a power of two, or the
// context where that is less.
int64_t column_bucket(int64_t count, int64_t context);

}  // namespace continuo::engine

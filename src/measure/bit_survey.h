// What changes the bits of a sequence's logits. One sequence is fed and continued again and again,
// each time with one thing of its steps changed, and compared with the first time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/loaded_model.h"

namespace continuo::measure {

struct BitSurveyOptions {
  // Tokens of each sequence's prompt, drawn at random.
  std::vector<int64_t> prompts{70, 33, 5, 110};
  int64_t tokens = 24;                      // that each goes on for
  std::vector<int64_t> slots{1, 2, 8, 32};  // besides the 4 of the first time
};

// One thing that was changed, over all of its values and all sequences.
struct BitSurveyLine {
  std::string axis;                // a name of bit_survey_axes()
  int64_t runs = 0;                // of a sequence
  int64_t equal = 0;               // of those: every logit of every step, bit for bit
  int64_t choices = 0, flips = 0;  // steps, and those whose greedy token is another one
  double worst = 0;                // largest |difference| of two logits
  std::vector<std::string> where;  // values at which bits differ
};

// The axes, in the order in which they are measured, and what each of them changes.
struct BitSurveyAxis {
  std::string name, changes;
};
const std::vector<BitSurveyAxis>& bit_survey_axes();

// One thread. Compiles 13 graphs.
Result<std::vector<BitSurveyLine>> survey_bits(engine::LoadedModel& model,
                                               const BitSurveyOptions& options);

}  // namespace continuo::measure

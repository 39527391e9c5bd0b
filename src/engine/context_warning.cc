#include "engine/context_warning.h"

#include <fmt/format.h>

namespace continuo::engine {

std::string context_warning(const models::Facts& facts, int64_t context) {
  if (facts.max_positions <= 0 || context <= facts.max_positions) return "";
  std::string text = fmt::format(
      "a context of {} tokens is beyond the {} positions that the model's config gives; answers "
      "may "
      "be poor there",
      context, facts.max_positions);
  if (facts.rope_switches_at)
    text += fmt::format(
        "; its rotary frequencies are those of {} tokens in short sequences as well", context);
  return text;
}

}  // namespace continuo::engine

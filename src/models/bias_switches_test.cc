// The switches of biases: a config may say what it likes, a family has those of its reference.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "models/model_parameters_test.h"

namespace continuo::models {
namespace {

using nlohmann::json;

// bias_switches.json says what each switch adds in transformers (generate/bias_switches.py); 0 for
// one that the family ignores.
TEST(BiasSwitches, AddWhatTheReferenceAdds) {
  const json expected = read_golden_json("bias_switches.json");
  ASSERT_GT(expected.size(), 35U);
  for (const auto& [golden, switches] : expected.items()) {
    const json config = read_golden_json(golden + "/config.json");
    for (const auto& [name, added] : switches.items()) {
      json with = config, without = config;
      with[name] = true;
      without[name] = false;
      const auto more = count_parameters(with), less = count_parameters(without);
      ASSERT_TRUE(more.ok() && less.ok()) << golden << ", " << name;
      EXPECT_EQ(*more - *less, added.get<int64_t>()) << golden << ", " << name;
    }
  }
}

}  // namespace
}  // namespace continuo::models

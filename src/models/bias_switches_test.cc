// The switches of biases: a config may say what it likes, a family has those of its reference.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "checkpoint/json.h"
#include "models/registry.h"

namespace continuo::models {
namespace {

using nlohmann::json;

json read(const std::string& path) {
  std::ifstream file(CONTINUO_TEST_DATA "/goldens/" + path);
  std::stringstream text;
  text << file.rdbuf();
  auto parsed = checkpoint::parse_json(text.str(), path);
  EXPECT_TRUE(parsed.ok()) << path;
  return parsed.ok() ? *parsed : json();
}

// How many numbers a model of `config` reads from its checkpoint.
int64_t parameters(const json& config) {
  const auto model = create(config, [](const std::string&) { return true; });
  EXPECT_TRUE(model.ok()) << (model.ok() ? "" : model.error().message);
  if (!model.ok()) return -1;
  const auto step = write_step(**model, {.rows = 1, .columns = 3, .slots = 2, .context = 8}, {});
  EXPECT_TRUE(step.ok()) << (step.ok() ? "" : step.error().message);
  if (!step.ok()) return -1;
  int64_t sum = 0;
  for (const WeightSpec& weight : step->weights)
    sum += weight.source_shape.elements() * int64_t(weight.sources.size());
  return sum;
}

// bias_switches.json says what each switch adds in transformers (generate/bias_switches.py); 0 for
// one that the family ignores.
TEST(BiasSwitches, AddWhatTheReferenceAdds) {
  const json expected = read("bias_switches.json");
  ASSERT_GT(expected.size(), 35U);
  for (const auto& [golden, switches] : expected.items()) {
    const json config = read(golden + "/config.json");
    for (const auto& [name, added] : switches.items()) {
      json with = config, without = config;
      with[name] = true;
      without[name] = false;
      EXPECT_EQ(parameters(with) - parameters(without), added.get<int64_t>())
          << golden << ", " << name;
    }
  }
}

}  // namespace
}  // namespace continuo::models

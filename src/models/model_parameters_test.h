// For tests that hold a family's parts to what transformers builds of a golden's config.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "base/mapped_file.h"
#include "base/result.h"
#include "checkpoint/json.h"
#include "models/registry.h"

namespace continuo::models {

// A file below tests/goldens; null, and a failure of the test, where there is none.
inline nlohmann::json read_golden_json(const std::string& path) {
  const auto text = read_text_file(CONTINUO_TEST_DATA "/goldens/" + path);
  EXPECT_TRUE(text.ok()) << path;
  if (!text.ok()) return {};
  auto parsed = checkpoint::parse_json(*text, path);
  EXPECT_TRUE(parsed.ok()) << path;
  return parsed.ok() ? *parsed : nlohmann::json();
}

// How many numbers a model of `config` reads from its checkpoint, or why there is no such model.
inline Result<int64_t> count_parameters(const nlohmann::json& config) {
  const auto exists = [](const std::string&) { return true; };
  CONTINUO_TRY(const auto model, create(config, exists));
  const StepShape shape{.rows = 1, .columns = 3, .slots = 2, .context = 8};
  CONTINUO_TRY(const auto step, write_step(*model, shape, {}));
  int64_t sum = 0;
  for (const WeightSpec& weight : step.weights)
    sum += weight.source_shape.elements() * int64_t(weight.sources.size());
  return sum;
}

}  // namespace continuo::models

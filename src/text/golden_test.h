// The tokenizer goldens: what the reference gives for 42 strings, some chats and raw ids.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace continuo::text {

using nlohmann::json;
using Ids = std::vector<int32_t>;

inline std::string read_golden(const std::string& name) {
  std::ifstream file(std::string(CONTINUO_TEST_DATA) + "/goldens/" + name, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// One of the golden tokenizers, with what it is to give.
struct Golden {
  std::string tokenizer_json;
  json tokenizer_config;
  json expected;

  explicit Golden(const std::string& name)
      : tokenizer_json(read_golden(name + "/tokenizer.json")),
        tokenizer_config(json::parse(read_golden(name + "/tokenizer_config.json"))),
        expected(json::parse(read_golden(name + "/tokenizer_golden.json"))) {}

  Tokenizer tokenizer() const {
    auto made = Tokenizer::create(
        {.tokenizer_json = tokenizer_json, .tokenizer_config = &tokenizer_config});
    EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
    return *made;
  }
};

inline const std::vector<std::string>& golden_names() {
  static const std::vector<std::string> names = {"tokenizer", "tokenizer_gpt2", "tokenizer_spm"};
  return names;
}

}  // namespace continuo::text

// Models for tests of the server: with token ids only, and with a tokenizer and a chat template.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "server/served_model.h"

namespace continuo::server {

inline ServedModel ids_model() {
  ServedModel model;
  model.names = {"tiny", "also-tiny"};
  model.created = 1700000000;
  model.vocab = 384;
  model.context = 64;
  model.slots = 3;
  return model;
}

inline std::string read_test_file(const std::string& name) {
  std::ifstream file(std::string(CONTINUO_TEST_DATA) + "/" + name, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

inline ServedModel text_model(const std::string& chat_template =
                                  "{% for m in messages %}{{ m.role }}: {{ m.content }}\n"
                                  "{% endfor %}{% if tools %}T{{ tools | length }}{% endif %}"
                                  "{% if add_generation_prompt %}>{% endif %}{{ mood }}") {
  ServedModel model = ids_model();
  model.context = 512;
  const std::string tokenizer = read_test_file("goldens/tokenizer_gpt2/tokenizer.json");
  const auto config =
      nlohmann::json::parse(read_test_file("goldens/tokenizer_gpt2/tokenizer_config.json"));
  model.tokenizer =
      text::Tokenizer::create({.tokenizer_json = tokenizer, .tokenizer_config = &config}).value();
  model.longest_text = longest_text(*model.tokenizer, model.context);
  model.vocab = model.tokenizer->vocab_size() + 5;  // padded rows
  if (!chat_template.empty())
    model.chat = text::ChatTemplate::create({.jinja = chat_template}, *model.tokenizer).value();
  return model;
}

}  // namespace continuo::server

// The families this build knows, and how a config finds its own.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "models/model.h"

namespace continuo::models {

// One family file defines one of these; registry.cc lists them.
struct Family {
  std::string name;                        // of its file and its golden
  std::vector<std::string> model_types;    // config.json's `model_type`
  std::vector<std::string> architectures;  // config.json's `architectures`
  std::string mixers;                      // for the documentation
  std::string state;
  std::vector<std::string> goldens;  // cases under tests/goldens
  std::string notes;
  std::unique_ptr<Model> (*create)(const ConfigView& config, HasTensor has);
};

const std::vector<const Family*>& families();

// Chooses by model_type, then architectures, of the text model's config where others are around it
// (base/text_config.h), else of the next one outwards. The error for an unknown one says what was
// found and lists what is supported. `has` is asked for tensor names.
Result<std::unique_ptr<Model>> create(const nlohmann::json& config, HasTensor has,
                                      const std::string& where = "config.json");

template <typename T>
std::unique_ptr<Model> make_model(const ConfigView& config, HasTensor has) {
  return std::make_unique<T>(config, std::move(has));
}

}  // namespace continuo::models

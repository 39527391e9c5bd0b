// Defaults of a family's transformers configuration class: real checkpoints leave out what equals
// them, and each class has its own.
#pragma once

#include <functional>
#include <memory>

#include "models/model.h"

namespace continuo::models {

using CreateModel = std::function<std::unique_ptr<Model>(const ConfigView& config)>;

// Calls `create` with `config`, completed by the keys of `defaults` (a JSON object's text) that it
// has not got. A key that is there keeps its value, null too: in a config null means "none".
std::unique_ptr<Model> with_defaults(const ConfigView& config, const char* defaults,
                                     const CreateModel& create);

// For Family::create: kDefaults is a `constexpr char[]` of the family's file.
template <typename T, const char* kDefaults>
std::unique_ptr<Model> make_model_with(const ConfigView& config, HasTensor has) {
  return with_defaults(config, kDefaults, [&](const ConfigView& completed) {
    return std::make_unique<T>(completed, std::move(has));
  });
}

}  // namespace continuo::models

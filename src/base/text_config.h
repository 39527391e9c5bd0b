// Where a wrapper's config.json holds the config of its text model.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

namespace continuo {

// The key of `config` under which the next config towards the text model lies, as transformers and
// the remote code of published checkpoints call it; nullptr where `config` is no wrapper. What lies
// there need not be an object.
const char* text_config_key(const nlohmann::json& config);

// `config` and the configs inside it, the text model's last. Borrowed from `config`.
std::vector<const nlohmann::json*> config_levels(const nlohmann::json& config);

}  // namespace continuo

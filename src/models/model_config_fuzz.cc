// libFuzzer: a config.json to a model and its step graph, through every family. The first byte
// chooses a golden's config and each pair after it sets one of its keys to an odd value; an input
// that begins with "{" is a whole config itself.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/json.h"
#include "models/registry.h"

namespace {

using namespace continuo::models;
using nlohmann::json;

// A graph grows with layers, whatever their number means; few show all there is to see.
constexpr int64_t kMostLayers = 12;

void require(bool holds) {
  if (!holds) std::abort();
}

const std::vector<json>& configs() {
  static const std::vector<json> all = [] {
    std::vector<std::string> names;
    for (const Family* family : families())
      names.insert(names.end(), family->goldens.begin(), family->goldens.end());
    std::vector<json> out;
    for (const std::string& name : names) {
      std::ifstream file(CONTINUO_TEST_DATA "/goldens/" + name + "/config.json");
      out.push_back(json::parse(file));
    }
    return out;
  }();
  return all;
}

// What a key may hold that no family expects.
const std::vector<json>& odd_values() {
  static const std::vector<json> all = {nullptr,
                                        0,
                                        1,
                                        -1,
                                        2,
                                        3,
                                        7,
                                        4096,
                                        1'000'000,
                                        2147483647,
                                        2147483648LL,
                                        INT64_MAX,
                                        UINT64_MAX,
                                        0.0,
                                        0.5,
                                        -1.5,
                                        1e308,
                                        1e-308,
                                        true,
                                        false,
                                        "",
                                        "default",
                                        "full_attention",
                                        "\xf0\x9f\x99\x82",
                                        json::array(),
                                        json::array({0}),
                                        json::array({1, 2, 3}),
                                        json::array({"attention", "mamba"}),
                                        json::array({nullptr, json::object()}),
                                        json::object(),
                                        {{"rope_type", "yarn"}, {"factor", 0}},
                                        {{"rope_type", "longrope"}, {"short_factor", {1}}}};
  return all;
}

// Every key of an object and of the objects in it.
void collect(json& object, std::vector<json*>& places) {
  for (auto& value : object) {
    places.push_back(&value);
    if (value.is_object()) collect(value, places);
  }
}

json edited(const uint8_t* data, size_t size) {
  json config = configs()[data[0] % configs().size()];
  for (size_t i = 1; i + 1 < size; i += 2) {
    std::vector<json*> places;
    collect(config, places);
    if (places.empty()) break;
    *places[data[i] % places.size()] = odd_values()[data[i + 1] % odd_values().size()];
  }
  return config;
}

void write_graphs(const Model& model) {
  const Facts& facts = model.facts();
  require(facts.layers >= 1 && facts.vocab >= 1 && facts.hidden >= 1);
  if (facts.layers > kMostLayers) return;
  continuo::graph::Target target;
  for (const int64_t columns : {1, 5}) {
    const continuo::ops::StepShape shape{.rows = 2, .columns = columns, .slots = 3, .context = 16};
    const auto graph = write_step(model, shape, target);
    if (!graph.ok()) return require(!graph.error().message.empty());
    require(!graph->weights.empty() && !graph->text.empty());
    for (const auto& weight : graph->weights) require(weight.shape.elements() > 0);
    for (const auto& state : graph->state) require(state.shape.elements() > 0);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  json config;
  if (data[0] == '{') {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    auto parsed = continuo::checkpoint::parse_json(text, "config.json");
    if (!parsed.ok()) return 0;
    config = std::move(*parsed);
  } else {
    config = edited(data, size);
  }
  // By the input's length, all tensors that are asked for are there, or none.
  const bool there = size % 4 != 3;
  const auto model = create(config, [there](const std::string&) { return there; });
  if (model.ok())
    write_graphs(**model);
  else
    require(!model.error().message.empty());
  return 0;
}

// An Engine on a loaded model. Apart from engine.cc, so that the loop and its threads can be tested
// without what models and devices need.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text_config.h"
#include "engine/device_runner.h"
#include "engine/engine_impl.h"
#include "engine/loaded_model.h"
#include "text/tokenizer.h"

namespace continuo::engine {
namespace {

constexpr int64_t kDefaultContext = 4096;

// Ends of a model without a tokenizer: what its configs say.
std::vector<int32_t> configured_ends(const checkpoint::Checkpoint& checkpoint) {
  std::vector<int32_t> ends;
  const auto add = [&](const nlohmann::json& id) {
    if (id.is_number_integer()) ends.push_back(id.get<int32_t>());
  };
  const auto add_of = [&](const nlohmann::json& config) {
    if (!config.is_object() || !config.contains("eos_token_id")) return;
    const nlohmann::json& id = config.at("eos_token_id");
    if (id.is_array()) std::for_each(id.begin(), id.end(), add);
    add(id);
  };
  for (const nlohmann::json* config : {&checkpoint.generation_config, &checkpoint.config})
    for (const nlohmann::json* level : config_levels(*config)) add_of(*level);
  return ends;
}

// What the state costs, from the pool that was just allocated.
void describe_state(Stepper& stepper, const EngineOptions& options, EngineStats& shape) {
  for (const ops::StateSpec& spec : stepper.state().specs()) {
    const int64_t bytes = spec.shape.elements() * static_cast<int64_t>(byte_size(spec.dtype));
    if (spec.kind == ops::StateKind::kKv)
      shape.kv_bytes_per_token += bytes / spec.positions;
    else
      shape.recurrent_bytes_per_slot += bytes;
  }
  shape.kv_capacity = shape.kv_bytes_per_token > 0 ? options.slots * options.context : 0;
  shape.state_bytes = stepper.state().bytes_per_slot() * options.slots + stepper.choice_bytes();
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(LoadedModel& model, const text::Tokenizer* tokenizer,
                                               const EngineOptions& given) {
  EngineOptions options = given;
  if (!model.target.samples) {
    options.greedy_graphs = true;
    options.sampling_graphs = false;
  }
  const models::Facts& facts = model.model->facts();
  if (options.context == 0)
    options.context =
        facts.max_positions > 0 ? std::min(facts.max_positions, kDefaultContext) : kDefaultContext;
  CONTINUO_TRY(SchedulerOptions scheduling,
               scheduling_of(options, step_limits(model, options.context)));
  options.columns = scheduling.columns;
  options.attended = scheduling.attended;
  options.prefill_budget = scheduling.prefill_budget;
  auto stepper = std::make_unique<Stepper>(
      *model.executor, *model.model, model.target, *model.weights, *model.cache,
      StepperOptions{options.slots, options.context, 0, options.show_progress});
  Stepper& device = *stepper;
  EngineParts parts{std::make_unique<DeviceRunner>(std::move(stepper)), tokenizer, {}, facts.vocab};
  if (tokenizer != nullptr)
    parts.eos_ids.assign(tokenizer->eos_ids().begin(), tokenizer->eos_ids().end());
  else
    parts.eos_ids = configured_ends(model.checkpoint);
  auto impl = std::make_unique<Impl>(std::move(parts), options, std::move(scheduling));
  impl->compiling = [cache = model.cache.get()] { return cache->stats(); };
  CONTINUO_RETURN_IF_ERROR(impl->prepare());
  describe_state(device, options, impl->shape);
  impl->shape.weight_bytes = model.weights->bytes();
  impl->start();
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

}  // namespace continuo::engine

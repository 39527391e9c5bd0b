// LoadedModel: a checkpoint, an executor and the model between them, ready to make Steppers.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "engine/compile_cache.h"
#include "engine/scheduler.h"
#include "engine/weights.h"
#include "models/model.h"
#include "runtime/executor.h"

namespace continuo::engine {

struct LoadOptions {
  std::string model;        // folder or .gguf
  std::string config_file;  // "" = the checkpoint's own
  runtime::ExecutorOptions executor;
  std::string dtype = "auto";  // auto | f32 | bf16
  // To compare spellings: auto; bucket: plain StableHLO over a bucket of positions, without a
  // kernel; loop: over blocks of positions.
  std::string attention = "auto";
  std::string cache_dir;
  bool show_progress = false;
};

// Owned by a command or the server; members are destroyed in reverse order, buffers before device.
struct LoadedModel {
  checkpoint::Checkpoint checkpoint;
  std::unique_ptr<runtime::Executor> executor;
  std::unique_ptr<models::Model> model;
  graph::Target target;
  std::unique_ptr<CompileCache> cache;
  std::unique_ptr<Weights> weights;
};

// Opens everything; weights are read when the first graph wants them.
Result<std::unique_ptr<LoadedModel>> load_model(const LoadOptions& options);

// What bounds the steps of this model on its device, with `context` positions a slot: a prefill
// step without a kernel for attention holds scores of all columns and attended positions.
StepLimits step_limits(const LoadedModel& model, int64_t context);

// The model alone, without a device: what `inspect` and `emit` need.
Result<std::unique_ptr<models::Model>> make_model(const checkpoint::Checkpoint& checkpoint);
// `dtype` and `attention` applied to an executor's target.
Result<graph::Target> target_for(graph::Target target, const std::string& dtype,
                                 const std::string& attention = "auto");

}  // namespace continuo::engine

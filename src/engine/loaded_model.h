// LoadedModel: a checkpoint, an executor and the model between them, ready to make Steppers.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "engine/compile_cache.h"
#include "engine/weights.h"
#include "models/model.h"
#include "runtime/executor.h"

namespace continuo::engine {

struct LoadOptions {
  std::string model;        // folder or .gguf
  std::string config_file;  // "" = the checkpoint's own
  runtime::ExecutorOptions executor;
  std::string dtype = "auto";  // auto | f32 | bf16
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

// The model alone, without a device: what `inspect` and `emit` need.
Result<std::unique_ptr<models::Model>> make_model(const checkpoint::Checkpoint& checkpoint);
// `dtype` applied to an executor's target.
Result<graph::Target> target_for(graph::Target target, const std::string& dtype);

}  // namespace continuo::engine

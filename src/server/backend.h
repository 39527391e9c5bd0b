// Backend: what the server asks of engine::Engine; tests put something quicker in its place.
#pragma once

#include <cstdint>

#include "engine/engine.h"

namespace continuo::server {

// Any thread; meanings and errors are those of engine::Engine.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual Result<uint64_t> submit(engine::Request request) = 0;
  virtual void cancel(uint64_t request) = 0;
  virtual bool drain(engine::TimePoint limit) = 0;
  virtual engine::EngineStats stats() const = 0;
  virtual int64_t max_queue() const = 0;
};

// `engine` outlives it.
class EngineBackend : public Backend {
 public:
  explicit EngineBackend(engine::Engine& engine) : engine_(engine) {}
  Result<uint64_t> submit(engine::Request request) override {
    return engine_.submit(std::move(request));
  }
  void cancel(uint64_t request) override { engine_.cancel(request); }
  bool drain(engine::TimePoint limit) override { return engine_.drain(limit); }
  engine::EngineStats stats() const override { return engine_.stats(); }
  int64_t max_queue() const override { return engine_.options().max_queue; }

 private:
  engine::Engine& engine_;
};

}  // namespace continuo::server

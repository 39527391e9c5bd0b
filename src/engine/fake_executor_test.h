// For this folder's tests: an Executor in host memory that computes nothing, and counts.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/executor.h"

namespace continuo::engine {

class HostBuffer final : public runtime::Buffer {
 public:
  explicit HostBuffer(HostTensor tensor) : tensor_(std::move(tensor)) {}
  DType dtype() const override { return tensor_.dtype(); }
  const Shape& shape() const override { return tensor_.shape(); }
  Status download(std::span<std::byte> out) const override {
    std::copy_n(tensor_.data(), std::min(out.size(), tensor_.bytes()), out.data());
    return ok_status();
  }

 private:
  HostTensor tensor_;
};

// Its programs return zeros of the shapes in `outputs`, or fail with `failure`.
class FakeExecutor final : public runtime::Executor {
 public:
  const runtime::DeviceInfo& info() const override { return info_; }
  std::string options_key() const override { return ""; }
  Result<runtime::ProgramPtr> compile(const std::string&) override {
    ++compiles;
    return runtime::ProgramPtr(std::make_unique<Program>(*this));
  }
  Result<runtime::ProgramPtr> deserialize(std::span<const std::byte>) override {
    return error(ErrorCode::kCorrupt, "nothing is kept");
  }
  Result<runtime::BufferPtr> upload(const HostView& host, runtime::HostLifetime,
                                    runtime::Placement) override {
    ++uploads;
    if (upload_fails) return error(ErrorCode::kResourceExhausted, "the device is full");
    HostTensor tensor(host.dtype, host.shape);
    std::copy_n(host.data, host.bytes(), tensor.data());
    return runtime::BufferPtr(std::make_unique<HostBuffer>(std::move(tensor)));
  }
  Result<runtime::BufferPtr> zeros(DType dtype, const Shape& shape, runtime::Placement) override {
    return runtime::BufferPtr(std::make_unique<HostBuffer>(HostTensor(dtype, shape)));
  }
  graph::Target target() const override { return {}; }

  int uploads = 0, runs = 0;
  std::atomic<int> compiles = 0;
  bool upload_fails = false, run_fails = false;
  std::vector<Shape> outputs;

 private:
  class Program final : public runtime::Program {
   public:
    explicit Program(FakeExecutor& executor) : executor_(executor) {}
    size_t arguments() const override { return 0; }
    size_t outputs() const override { return executor_.outputs.size(); }
    Result<std::vector<runtime::BufferPtr>> run(std::span<runtime::Buffer* const>) override {
      ++executor_.runs;
      if (executor_.run_fails) return error(ErrorCode::kUnavailable, "the device is gone");
      std::vector<runtime::BufferPtr> results;
      for (const Shape& shape : executor_.outputs)
        results.push_back(std::make_unique<HostBuffer>(HostTensor(DType::kF32, shape)));
      return results;
    }
    Result<std::string> serialize() const override {
      return error(ErrorCode::kUnsupported, "nothing is kept");
    }

   private:
    FakeExecutor& executor_;
  };
  runtime::DeviceInfo info_{.executor = "fake", .platform = "paper", .version = "1"};
};

}  // namespace continuo::engine

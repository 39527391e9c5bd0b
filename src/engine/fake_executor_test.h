// For this folder's tests: an Executor in host memory that computes nothing, and counts.
#pragma once

#include <atomic>
#include <cstring>
#include <memory>
#include <new>
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

// Reads the caller's memory in place, and counts in `gone` where that is no longer there, or no
// longer what it was, when the buffer is freed: as a run that still reads it would see.
class BorrowedBuffer final : public runtime::Buffer {
 public:
  BorrowedBuffer(const HostView& host, std::atomic<int>& gone)
      : host_(host), wanted_(host.data, host.data + host.bytes()), gone_(gone) {}
  ~BorrowedBuffer() override {
    if (std::memcmp(host_.data, wanted_.data(), wanted_.size()) != 0) ++gone_;
  }
  DType dtype() const override { return host_.dtype; }
  const Shape& shape() const override { return host_.shape; }
  Status download(std::span<std::byte> out) const override {
    std::copy_n(host_.data, std::min(out.size(), host_.bytes()), out.data());
    return ok_status();
  }

 private:
  HostView host_;
  std::vector<std::byte> wanted_;
  std::atomic<int>& gone_;
};

// Its programs return zeros of the shapes in `outputs`, or fail with `failure`.
class FakeExecutor final : public runtime::Executor {
 public:
  const runtime::DeviceInfo& info() const override { return info_; }
  std::string options_key() const override { return ""; }
  Result<runtime::ProgramPtr> compile(const std::string&) override {
    ++compiles;
    if (compile_throws) throw std::bad_alloc();
    return runtime::ProgramPtr(std::make_unique<Program>(*this));
  }
  Result<runtime::ProgramPtr> deserialize(std::span<const std::byte>) override {
    return error(ErrorCode::kCorrupt, "nothing is kept");
  }
  Result<runtime::BufferPtr> upload(const HostView& host, runtime::HostLifetime lifetime,
                                    runtime::Placement) override {
    ++uploads;
    if (upload_throws) throw std::bad_alloc();
    if (upload_fails) return error(ErrorCode::kResourceExhausted, "the device is full");
    if (lifetime == runtime::HostLifetime::kBuffer)
      return runtime::BufferPtr(std::make_unique<BorrowedBuffer>(host, host_gone));
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
  std::atomic<int> host_gone = 0;  // buffers that outlived the memory they read in place
  bool upload_fails = false, run_fails = false;
  bool upload_throws = false, compile_throws = false;  // std::bad_alloc
  std::vector<Shape> outputs;
  runtime::DeviceInfo info_{.executor = "fake", .platform = "paper", .version = "1"};

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
};

}  // namespace continuo::engine

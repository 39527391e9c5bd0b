#include "runtime/iree/iree_executor.h"

#include <unistd.h>

#include <vector>

#include "runtime/cpu_info.h"
#include "runtime/iree/compiler.h"
#include "runtime/iree/device.h"
#include "runtime/iree/program.h"
#include "runtime/signature.h"

namespace continuo::runtime::iree {
namespace {

class IreeExecutor final : public Executor {
 public:
  IreeExecutor(const Compiler& compiler, std::unique_ptr<Device> device)
      : compiler_(compiler), device_(std::move(device)) {
    info_.executor = "iree";
    info_.plugin = compiler.path();
    info_.platform = "cpu";
    info_.device_kind = device_->driver();
    info_.version = "IREE " + compiler.revision();
    info_.cpu_features = cpu_features();
    info_.memory_bytes = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGE_SIZE);
  }

  const DeviceInfo& info() const override { return info_; }
  std::string options_key() const override { return fmt::format("{}", fmt::join(flags_, " ")); }
  graph::Target target() const override;
  Result<ProgramPtr> compile(const std::string& stablehlo) override {
    // Of a module without functions the compiler only says that it generated nothing.
    if (stablehlo.find("@main") == stablehlo.npos) return parse_signature(stablehlo).error();
    CONTINUO_TRY(const std::string module, compiler_.compile(stablehlo, flags_));
    return IreeProgram::load(*device_, stablehlo, module);
  }
  Result<ProgramPtr> deserialize(std::span<const std::byte> bytes) override {
    return IreeProgram::deserialize(*device_, bytes);
  }
  Result<BufferPtr> upload(const HostView& host, HostLifetime lifetime,
                           Placement placement) override {
    return iree::upload(*device_, host, lifetime, placement);
  }
  Result<BufferPtr> zeros(DType dtype, const Shape& shape, Placement placement) override {
    return iree::zeros(*device_, {dtype, shape}, placement);
  }

 private:
  const Compiler& compiler_;
  std::unique_ptr<Device> device_;
  const std::vector<std::string> flags_ = {
      "--iree-hal-target-device=local",
      "--iree-hal-local-target-device-backends=llvm-cpu",
      "--iree-llvmcpu-target-cpu=host",
      // More computes wrongly: from O2 on a predicate that becomes a number inside a product is a
      // signed bit, so that true is -1, and some dispatches are refused by the compiler itself.
      "--iree-opt-level=O1",
      "--iree-execution-model=async-external",
      "--iree-input-demote-f64-to-f32=false",
  };
  DeviceInfo info_;
};

graph::Target IreeExecutor::target() const {
  graph::Target target;
  target.platform = info_.platform;
  target.linear_out_in = true;
  target.barrier_after_write = false;
  target.reuse_rewritten = false;
  target.samples = false;
  target.exact_dots = false;  // float32 dots are float32 anyway
  return target;
}

}  // namespace

Result<std::unique_ptr<Executor>> open(const ExecutorOptions& options) {
  if (options.devices != 1 || options.threads < 0)
    return error(ErrorCode::kInvalidArgument,
                 "executor iree: wanted 1 device and at least 0 threads, got {} and {}",
                 options.devices, options.threads);
  CONTINUO_TRY(const Compiler* compiler,
               Compiler::load(options.plugin.empty() ? CONTINUO_IREE_COMPILER : options.plugin));
  CONTINUO_TRY(auto device, Device::open(options));
  return std::unique_ptr<Executor>(std::make_unique<IreeExecutor>(*compiler, std::move(device)));
}

}  // namespace continuo::runtime::iree

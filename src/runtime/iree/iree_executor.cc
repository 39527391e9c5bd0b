#include "runtime/iree/iree_executor.h"

#include <array>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "runtime/cpu_info.h"
#include "runtime/iree/compiler.h"
#include "runtime/iree/device.h"
#include "runtime/iree/program.h"
#include "runtime/signature.h"

namespace continuo::runtime::iree {
namespace {

// The newest GPU the compiler knows of those that the device's capability includes; the driver
// takes the PTX of an older one.
std::string cuda_target(int capability) {
  constexpr std::array kKnown = {60, 70, 75, 80, 86, 87, 89};
  int chosen = kKnown.front();
  for (const int known : kKnown)
    if (known <= capability) chosen = known;
  return fmt::format("--iree-cuda-target=sm_{}", chosen);
}

std::vector<std::string> compiler_flags(const Device& device) {
  std::vector<std::string> flags = {
      // More computes wrongly: from O2 on a predicate that becomes a number inside a product is a
      // signed bit, so that true is -1, and some dispatches are refused by the compiler itself.
      "--iree-opt-level=O1",
      "--iree-execution-model=async-external",
      "--iree-input-demote-f64-to-f32=false",
  };
  if (device.on_host())
    flags.insert(flags.begin(), {"--iree-hal-target-device=local",
                                 "--iree-hal-local-target-device-backends=llvm-cpu",
                                 "--iree-llvmcpu-target-cpu=host"});
  else
    flags.insert(flags.begin(),
                 {"--iree-hal-target-device=cuda", cuda_target(device.cuda_capability())});
  return flags;
}

// A constant that the compiler computes, on the CPU whichever the device. Its first time sets up
// LLVM's targets, which two threads must not do at once.
constexpr const char* kFirst = R"(module {
  func.func public @main(%x: tensor<4xf32>) -> tensor<4xf32> {
    %0 = stablehlo.constant dense<[0.1, 0.2, 0.3, 0.4]> : tensor<4xf32>
    %1 = stablehlo.cosine %0 : tensor<4xf32>
    %2 = stablehlo.add %x, %1 : tensor<4xf32>
    return %2 : tensor<4xf32>
  } })";

// Before the first compile of the process, on one thread: the others wait. Its own failure says
// nothing that the compile after it does not.
void start_compiler(const Compiler& compiler, const std::vector<std::string>& flags) {
  static std::once_flag started;
  std::call_once(started, [&] { static_cast<void>(compiler.compile(kFirst, flags)); });
}

class IreeExecutor final : public Executor {
 public:
  IreeExecutor(const Compiler& compiler, std::unique_ptr<Device> device)
      : compiler_(compiler), device_(std::move(device)), flags_(compiler_flags(*device_)) {
    info_.executor = "iree";
    info_.plugin = compiler.path();
    info_.platform = device_->on_host() ? "cpu" : "cuda";
    info_.device_kind = device_->kind();
    info_.version = "IREE " + compiler.revision();
    if (device_->on_host()) info_.cpu_features = cpu_features();
    info_.memory_bytes = device_->memory_bytes();
  }

  const DeviceInfo& info() const override { return info_; }
  std::string options_key() const override { return fmt::format("{}", fmt::join(flags_, " ")); }
  graph::Target target() const override;
  Result<ProgramPtr> compile(const std::string& stablehlo) override {
    // Of a module without functions the compiler only says that it generated nothing.
    if (stablehlo.find("@main") == stablehlo.npos) return parse_signature(stablehlo).error();
    start_compiler(compiler_, flags_);
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
  const std::vector<std::string> flags_;
  DeviceInfo info_;
};

graph::Target IreeExecutor::target() const {
  graph::Target target;
  target.platform = info_.platform;
  if (!device_->on_host()) target.prefill_columns = 2048;
  target.linear_out_in = true;
  target.one_row_as_sums = device_->on_host();  // its code for one row's product is 4 times slower
  target.barrier_after_write = false;
  target.reuse_rewritten = false;
  target.samples = false;
  target.exact_dots = false;  // float32 dots are float32 anyway
  return target;
}

std::string compiler_file(const std::string& option) {
  if (!option.empty()) return option;
  const char* named = std::getenv("CONTINUO_IREE_COMPILER");
  return named == nullptr || *named == '\0' ? CONTINUO_IREE_COMPILER : named;
}

}  // namespace

Result<std::unique_ptr<Executor>> open(const ExecutorOptions& options) {
  if (options.devices != 1 || options.threads < 0)
    return error(ErrorCode::kInvalidArgument,
                 "executor iree: wanted 1 device and at least 0 threads, got {} and {}",
                 options.devices, options.threads);
  CONTINUO_TRY(const Compiler* compiler, Compiler::load(compiler_file(options.plugin)));
  CONTINUO_TRY(auto device, Device::open(options));
  return std::unique_ptr<Executor>(std::make_unique<IreeExecutor>(*compiler, std::move(device)));
}

}  // namespace continuo::runtime::iree

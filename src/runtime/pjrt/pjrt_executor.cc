#include "runtime/pjrt/pjrt_executor.h"

#include <unistd.h>

#include <cstdlib>
#include <map>

#include "runtime/cpu_info.h"
#include "runtime/pjrt/compile_options.h"
#include "runtime/pjrt/cpu_kernels.h"
#include "runtime/pjrt/plugin.h"
#include "runtime/pjrt/program.h"

namespace continuo::runtime::pjrt {
namespace {

class PjrtExecutor final : public Executor {
 public:
  PjrtExecutor(std::unique_ptr<Client> client, CompileOptions options, int threads)
      : client_(std::move(client)), compile_options_(options.serialize()), threads_(threads) {}

  Status describe();

  const DeviceInfo& info() const override { return info_; }
  std::string options_key() const override;
  graph::Target target() const override;
  Result<ProgramPtr> compile(const std::string& stablehlo) override {
    return PjrtProgram::compile(*client_, stablehlo, compile_options_);
  }
  Result<ProgramPtr> deserialize(std::span<const std::byte> bytes) override {
    return PjrtProgram::deserialize(*client_, bytes);
  }
  Result<BufferPtr> upload(const HostView& host, HostLifetime lifetime,
                           Placement placement) override {
    return pjrt::upload(*client_, host, lifetime, placement);
  }
  Result<BufferPtr> zeros(DType dtype, const Shape& shape, Placement placement) override;

 private:
  std::unique_ptr<Client> client_;
  std::string compile_options_;
  int threads_;
  std::vector<std::string> kernels_;
  DeviceInfo info_;
  std::map<std::string, ProgramPtr> zero_programs_;  // by StableHLO type
};

Status PjrtExecutor::describe() {
  CONTINUO_TRY(const std::string platform_version, client_->platform_version());
  CONTINUO_TRY(info_.device_kind, client_->device_kind());
  info_.executor = "pjrt";
  info_.plugin = client_->api().path();
  info_.platform = client_->platform();
  info_.version = client_->api().version() + "; platform " + platform_version;
  info_.devices = static_cast<int>(client_->devices().size());
  info_.memory_bytes = client_->memory_bytes();
  if (client_->on_host()) {
    info_.cpu_features = cpu_features();
    // XLA does not cut a custom call over devices: it would bring the whole weight to each.
    if (info_.devices == 1) kernels_ = register_cpu_kernels(client_->api());
    if (info_.memory_bytes == 0)
      info_.memory_bytes = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGE_SIZE);
  }
  return {};
}

std::string PjrtExecutor::options_key() const {
  // XLA's CPU compiler cuts loops for the number of threads it was opened with.
  std::string key = fmt::format("devices={};threads={}", info_.devices, threads_);
  if (const char* flags = std::getenv("XLA_FLAGS")) key += fmt::format(";XLA_FLAGS={}", flags);
  return key;
}

graph::Target PjrtExecutor::target() const {
  graph::Target target;
  target.platform = info_.platform;
  if (client_->on_host()) {
    target.exact_dots = false;  // XLA's CPU float32 dots are float32 anyway
    target.kernels = kernels_;
    // XLA's own products of a few rows are slower with [out,in], of one or many rows quicker.
    target.linear_out_in = target.has_kernel("continuo.linear");
    return target;
  }
  target.prefill_columns = 2048;
  target.weights = DType::kBF16;
  target.kv = DType::kBF16;
  target.linear_out_in = true;
  target.one_row_as_sums = true;  // XLA pads a lone row to a tile of its matrix kernels
  target.exact_dots = false;      // bf16 operands; set it when computing in float32
  target.kv_write = graph::KvWrite::kScatter;
  target.loops_wait = true;
  return target;
}

std::string zero_module(DType dtype, const Shape& shape) {
  std::string type = "tensor<";
  for (int64_t dim : shape.dims()) type += fmt::format("{}x", dim);
  type += fmt::format("{}>", dtype);
  const char* zero = dtype == DType::kPred ? "false" : is_float(dtype) ? "0.0" : "0";
  return fmt::format(
      "module @zeros {{\n"
      "  func.func public @main() -> {0} {{\n"
      "    %0 = stablehlo.constant dense<{1}> : tensor<{2}>\n"
      "    %1 = stablehlo.broadcast_in_dim %0, dims = [] : (tensor<{2}>) -> {0}\n"
      "    return %1 : {0}\n"
      "  }}\n"
      "}}\n",
      type, zero, dtype);
}

Result<BufferPtr> PjrtExecutor::zeros(DType dtype, const Shape& shape, Placement placement) {
  CONTINUO_TRY(const Shape part, part_shape(shape, placement, client_->devices().size()));
  if (client_->on_host()) return host_zeros(*client_, {dtype, shape}, placement);
  const std::string text = zero_module(dtype, part);
  ProgramPtr& program = zero_programs_[text];
  if (program == nullptr) {
    CONTINUO_TRY(program, compile(text));
  }
  CONTINUO_TRY(std::vector<BufferPtr> outputs, program->run({}));
  static_cast<PjrtBuffer&>(*outputs[0]).reinterpret({dtype, shape}, placement);
  return std::move(outputs[0]);
}

}  // namespace

Result<std::unique_ptr<Executor>> open(const ExecutorOptions& options) {
  if (options.devices < 1 || options.threads < 0)
    return error(ErrorCode::kInvalidArgument,
                 "wanted at least 1 device and 0 threads, got {} and {}", options.devices,
                 options.threads);
  if (!options.device.empty())
    return error(ErrorCode::kInvalidArgument,
                 "executor pjrt: its device is what the plugin has, got device {}", options.device);
  CONTINUO_TRY(const std::string plugin, find_plugin(options.plugin));
  const CudaFiles cuda = find_cuda_files(plugin);
  preload(cuda.libraries);
  CONTINUO_TRY(const Api* api, Api::load(plugin));
  auto client = Client::open(*api, options.devices, options.threads);
  if (!client.ok()) return with_context(std::move(client).error(), plugin);

  CompileOptions compile_options;
  compile_options.device_ids = (*client)->device_ids();
  if (cuda.data_dir) compile_options.overrides["xla_gpu_cuda_data_dir"] = *cuda.data_dir;
  const int threads = !(*client)->on_host() ? 0
                      : options.threads > 0 ? options.threads
                                            : usable_cores();
  auto executor = std::make_unique<PjrtExecutor>(std::move(client).value(),
                                                 std::move(compile_options), threads);
  CONTINUO_RETURN_IF_ERROR(executor->describe());
  return std::unique_ptr<Executor>(std::move(executor));
}

}  // namespace continuo::runtime::pjrt

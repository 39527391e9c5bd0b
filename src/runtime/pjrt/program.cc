#include "runtime/pjrt/program.h"

#include <spdlog/spdlog.h>

#include "runtime/program_bytes.h"

namespace continuo::runtime::pjrt {
namespace {

constexpr std::string_view kFormat = "PJRT-1";

}  // namespace

Result<ProgramPtr> PjrtProgram::compile(const Client& client, const std::string& stablehlo,
                                        const std::string& options) {
  std::string code = stablehlo;  // the C struct wants it writable
  PJRT_Program program{};
  program.struct_size = PJRT_Program_STRUCT_SIZE;
  program.code = code.data();
  program.code_size = code.size();
  constexpr std::string_view kMlir = "mlir";
  program.format = kMlir.data();
  program.format_size = kMlir.size();
  CONTINUO_PJRT_ARGS(PJRT_Client_Compile, args);
  args.client = client.get();
  args.program = &program;
  args.compile_options = options.data();
  args.compile_options_size = options.size();
  CONTINUO_RETURN_IF_ERROR(client.api().call("compile", &PJRT_Api::PJRT_Client_Compile, args));
  std::unique_ptr<PjrtProgram> loaded(new PjrtProgram(client, args.executable));
  CONTINUO_TRY(Signature signature, parse_signature(stablehlo));
  CONTINUO_RETURN_IF_ERROR(loaded->adopt(std::move(signature)));
  return ProgramPtr(std::move(loaded));
}

Result<ProgramPtr> PjrtProgram::deserialize(const Client& client,
                                            std::span<const std::byte> bytes) {
  CONTINUO_TRY(ProgramBytes program, unpack_program(kFormat, bytes));
  CONTINUO_PJRT_ARGS(PJRT_Executable_DeserializeAndLoad, args);
  args.client = client.get();
  args.serialized_executable = program.payload.data();
  args.serialized_executable_size = program.payload.size();
  CONTINUO_RETURN_IF_ERROR(
      client.api().call("deserialize", &PJRT_Api::PJRT_Executable_DeserializeAndLoad, args));
  std::unique_ptr<PjrtProgram> loaded(new PjrtProgram(client, args.loaded_executable));
  CONTINUO_RETURN_IF_ERROR(loaded->adopt(std::move(program.signature)));
  return ProgramPtr(std::move(loaded));
}

PjrtProgram::~PjrtProgram() {
  CONTINUO_PJRT_ARGS(PJRT_LoadedExecutable_Destroy, args);
  args.executable = executable_;
  const auto status = client_.api().call("program", &PJRT_Api::PJRT_LoadedExecutable_Destroy, args);
  if (!status.ok()) spdlog::warn("{}", status.error().message);
}

// Takes the signature, after checking it against the number of outputs the plugin reports.
Status PjrtProgram::adopt(Signature signature) {
  signature_ = std::move(signature);
  CONTINUO_TRY(PJRT_Executable * bare, executable());
  CONTINUO_PJRT_ARGS(PJRT_Executable_NumOutputs, args);
  args.executable = bare;
  Status status = client_.api().call("program", &PJRT_Api::PJRT_Executable_NumOutputs, args);
  CONTINUO_PJRT_ARGS(PJRT_Executable_Destroy, destroy);
  destroy.executable = bare;
  CONTINUO_RETURN_IF_ERROR(
      client_.api().call("program", &PJRT_Api::PJRT_Executable_Destroy, destroy));
  CONTINUO_RETURN_IF_ERROR(std::move(status));
  if (args.num_outputs != outputs())
    return error(ErrorCode::kInternal, "@main declares {} results, its executable {}", outputs(),
                 args.num_outputs);
  const size_t devices = client_.devices().size();
  inputs_.resize(devices * arguments());
  results_.resize(devices * outputs());
  for (size_t device = 0; device < devices; ++device) {
    input_rows_.push_back(inputs_.data() + device * arguments());
    result_rows_.push_back(results_.data() + device * outputs());
  }
  return {};
}

Result<PJRT_Executable*> PjrtProgram::executable() const {
  CONTINUO_PJRT_ARGS(PJRT_LoadedExecutable_GetExecutable, args);
  args.loaded_executable = executable_;
  CONTINUO_RETURN_IF_ERROR(
      client_.api().call("program", &PJRT_Api::PJRT_LoadedExecutable_GetExecutable, args));
  return args.executable;
}

Result<std::string> PjrtProgram::serialize() const {
  CONTINUO_TRY(PJRT_Executable * bare, executable());
  CONTINUO_PJRT_ARGS(PJRT_Executable_Serialize, args);
  args.executable = bare;
  Status status = client_.api().call("serialize", &PJRT_Api::PJRT_Executable_Serialize, args);
  std::string bytes;
  if (status.ok()) {
    bytes = pack_program(kFormat, signature_, {args.serialized_bytes, args.serialized_bytes_size});
    args.serialized_executable_deleter(args.serialized_executable);
  }
  CONTINUO_PJRT_ARGS(PJRT_Executable_Destroy, destroy);
  destroy.executable = bare;
  CONTINUO_RETURN_IF_ERROR(
      client_.api().call("program", &PJRT_Api::PJRT_Executable_Destroy, destroy));
  CONTINUO_RETURN_IF_ERROR(std::move(status));
  return bytes;
}

Result<std::vector<BufferPtr>> PjrtProgram::run(std::span<Buffer* const> arguments) {
  CONTINUO_RETURN_IF_ERROR(check_arguments(signature_, arguments, &client_));
  const Status launched = launch(arguments);
  for (size_t i = 0; i < arguments.size(); ++i)
    if (signature_.arguments[i].donated) static_cast<PjrtBuffer&>(*arguments[i]).consume();
  CONTINUO_RETURN_IF_ERROR(launched);
  return collect();
}

Status PjrtProgram::launch(std::span<Buffer* const> given) {
  const size_t devices = client_.devices().size();
  for (size_t device = 0; device < devices; ++device)
    for (size_t i = 0; i < arguments(); ++i)
      inputs_[device * arguments() + i] = static_cast<PjrtBuffer&>(*given[i]).part(device);
  PJRT_ExecuteOptions options{};
  options.struct_size = PJRT_ExecuteOptions_STRUCT_SIZE;
  CONTINUO_PJRT_ARGS(PJRT_LoadedExecutable_Execute, args);
  args.executable = executable_;
  args.options = &options;
  args.argument_lists = input_rows_.data();
  args.num_devices = devices;
  args.num_args = arguments();
  args.output_lists = result_rows_.data();
  return client_.api().call("run", &PJRT_Api::PJRT_LoadedExecutable_Execute, args);
}

Result<std::vector<BufferPtr>> PjrtProgram::collect() {
  const size_t devices = client_.devices().size();
  std::vector<BufferPtr> buffers;
  buffers.reserve(outputs());
  for (size_t i = 0; i < outputs(); ++i) {
    std::vector<PJRT_Buffer*> parts(devices);
    for (size_t device = 0; device < devices; ++device)
      parts[device] = results_[device * outputs() + i];
    const Placement known = i < placements_.size() ? placements_[i] : Placement{};
    buffers.push_back(
        std::make_unique<PjrtBuffer>(client_, signature_.outputs[i], known, std::move(parts)));
  }
  if (devices == 1 || placements_.size() == outputs()) return buffers;

  // First run over several devices: only now can it be seen how the outputs were cut.
  std::vector<Placement> placements(outputs());
  for (size_t i = 0; i < outputs(); ++i) {
    auto& buffer = static_cast<PjrtBuffer&>(*buffers[i]);
    CONTINUO_TRY(placements[i], output_placement(i, buffer.part(0)));
    buffer.reinterpret(signature_.outputs[i], placements[i]);
  }
  placements_ = std::move(placements);
  return buffers;
}

Result<Placement> PjrtProgram::output_placement(size_t output, PJRT_Buffer* part) const {
  CONTINUO_PJRT_ARGS(PJRT_Buffer_Dimensions, args);
  args.buffer = part;
  CONTINUO_RETURN_IF_ERROR(client_.api().call("output", &PJRT_Api::PJRT_Buffer_Dimensions, args));
  const Shape shape(std::vector<int64_t>(args.dims, args.dims + args.num_dims));
  const Shape& whole = signature_.outputs[output].shape;
  if (shape == whole) return Placement{};
  for (int64_t axis = 0; axis < whole.rank(); ++axis) {
    const Placement placement{axis};
    const auto expected = part_shape(whole, placement, client_.devices().size());
    if (expected.ok() && *expected == shape) return placement;
  }
  return error(ErrorCode::kUnsupported,
               "output {}: {} lies as {} on each of {} devices; wanted it whole or cut evenly "
               "along one axis",
               output, whole, shape, client_.devices().size());
}

}  // namespace continuo::runtime::pjrt

#include "runtime/pjrt/program.h"

#include <spdlog/spdlog.h>

#include <atomic>
#include <cstring>

namespace continuo::runtime::pjrt {
namespace {

// What serialize() writes: this, the signature's length and text, the plugin's own bytes. The
// signature is kept because an executable does not tell its parameters' types.
constexpr std::string_view kMagic = "CONTINUO-PJRT-1\n";

std::atomic<uint64_t> next_run{1};

}  // namespace

Result<ProgramPtr> PjrtProgram::compile(const Client& client, const std::string& stablehlo,
                                        const std::string& options) {
  std::string code = stablehlo;  // the C struct wants it writable
  PJRT_Program program{};
  program.struct_size = PJRT_Program_STRUCT_SIZE;
  program.code = code.data();
  program.code_size = code.size();
  constexpr std::string_view kFormat = "mlir";
  program.format = kFormat.data();
  program.format_size = kFormat.size();
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
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  uint64_t length = 0;
  if (!rest.starts_with(kMagic) || rest.size() < kMagic.size() + sizeof(length))
    return error(ErrorCode::kCorrupt, "not a serialized PJRT program");
  rest.remove_prefix(kMagic.size());
  std::memcpy(&length, rest.data(), sizeof(length));
  rest.remove_prefix(sizeof(length));
  if (length > rest.size())
    return error(ErrorCode::kCorrupt, "serialized PJRT program is cut short");
  CONTINUO_TRY(Signature signature, parse_signature(std::string(rest.substr(0, length))));
  rest.remove_prefix(length);
  if (rest.empty()) return error(ErrorCode::kCorrupt, "serialized PJRT program is cut short");
  CONTINUO_PJRT_ARGS(PJRT_Executable_DeserializeAndLoad, args);
  args.client = client.get();
  args.serialized_executable = rest.data();
  args.serialized_executable_size = rest.size();
  CONTINUO_RETURN_IF_ERROR(
      client.api().call("deserialize", &PJRT_Api::PJRT_Executable_DeserializeAndLoad, args));
  std::unique_ptr<PjrtProgram> loaded(new PjrtProgram(client, args.loaded_executable));
  CONTINUO_RETURN_IF_ERROR(loaded->adopt(std::move(signature)));
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
  given_.resize(arguments());
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
    const uint64_t length = signature_.text.size();
    bytes.reserve(kMagic.size() + sizeof(length) + length + args.serialized_bytes_size);
    bytes += kMagic;
    bytes.append(reinterpret_cast<const char*>(&length), sizeof(length));
    bytes += signature_.text;
    bytes.append(args.serialized_bytes, args.serialized_bytes_size);
    args.serialized_executable_deleter(args.serialized_executable);
  }
  CONTINUO_PJRT_ARGS(PJRT_Executable_Destroy, destroy);
  destroy.executable = bare;
  CONTINUO_RETURN_IF_ERROR(
      client_.api().call("program", &PJRT_Api::PJRT_Executable_Destroy, destroy));
  CONTINUO_RETURN_IF_ERROR(std::move(status));
  return bytes;
}

Status PjrtProgram::check_arguments(std::span<Buffer* const> arguments) {
  if (arguments.size() != this->arguments())
    return error(ErrorCode::kInvalidArgument, "run: wanted {} arguments, got {}", this->arguments(),
                 arguments.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Argument& wanted = signature_.arguments[i];
    const auto refuse = [&](const std::string& got) {
      return error(ErrorCode::kInvalidArgument, "run: argument {} ({}): wanted {}, got {}", i,
                   wanted.name, wanted.type.str(), got);
    };
    auto* buffer = dynamic_cast<PjrtBuffer*>(arguments[i]);
    if (buffer == nullptr) return refuse("no buffer of this executor");
    if (&buffer->client() != &client_) return refuse("a buffer of another executor");
    if (buffer->consumed()) return refuse("a buffer that an earlier run was given to keep");
    if (!(buffer->type() == wanted.type)) return refuse(buffer->type().str());
    if (wanted.donated && buffer->borrowed())
      return refuse("a buffer that reads the caller's memory, which cannot be donated");
    given_[i] = buffer;
  }
  return check_donations(arguments);
}

// An array that is donated may be given once only.
Status PjrtProgram::check_donations(std::span<Buffer* const> arguments) {
  const uint64_t run = next_run.fetch_add(1, std::memory_order_relaxed);
  for (const bool donated : {true, false})
    for (size_t i = 0; i < arguments.size(); ++i) {
      if (signature_.arguments[i].donated != donated) continue;
      if (given_[i]->donated_in_run == run)
        return error(ErrorCode::kInvalidArgument,
                     "run: argument {} ({}): wanted a buffer of its own, got one that is donated "
                     "as another argument",
                     i, signature_.arguments[i].name);
      if (donated) given_[i]->donated_in_run = run;
    }
  return {};
}

Result<std::vector<BufferPtr>> PjrtProgram::run(std::span<Buffer* const> arguments) {
  CONTINUO_RETURN_IF_ERROR(check_arguments(arguments));
  const Status launched = launch();
  for (size_t i = 0; i < arguments.size(); ++i)
    if (signature_.arguments[i].donated) given_[i]->consume();
  CONTINUO_RETURN_IF_ERROR(launched);
  return collect();
}

Status PjrtProgram::launch() {
  const size_t devices = client_.devices().size();
  for (size_t device = 0; device < devices; ++device)
    for (size_t i = 0; i < arguments(); ++i)
      inputs_[device * arguments() + i] = given_[i]->part(device);
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

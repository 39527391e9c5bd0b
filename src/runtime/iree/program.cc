#include "runtime/iree/program.h"

#include <iree/modules/hal/types.h>
#include <iree/vm/bytecode/module.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "runtime/iree/overwrites.h"
#include "runtime/program_bytes.h"

namespace continuo::runtime::iree {
namespace {

constexpr std::string_view kFormat = "IREE-1";

// Before the module's bytes: how many arguments are overwritten, and which.
std::string pack_numbers(const std::vector<size_t>& numbers) {
  std::vector<uint64_t> words = {numbers.size()};
  words.insert(words.end(), numbers.begin(), numbers.end());
  return {reinterpret_cast<const char*>(words.data()), words.size() * sizeof(uint64_t)};
}

// Takes pack_numbers() off the front of `bytes`; each is below `limit`.
Result<std::vector<size_t>> unpack_numbers(std::string_view& bytes, size_t limit) {
  const auto next = [&]() -> uint64_t {
    uint64_t word = limit;
    if (bytes.size() < sizeof(word)) return limit;
    std::memcpy(&word, bytes.data(), sizeof(word));
    bytes.remove_prefix(sizeof(word));
    return word;
  };
  std::vector<size_t> numbers(std::min<size_t>(next(), limit));
  for (size_t& number : numbers)
    if ((number = next()) >= limit)
      return error(ErrorCode::kCorrupt, "serialized {} program names no argument of its own",
                   kFormat);
  return numbers;
}

// IREE does not say how much it asked for in vain.
int64_t output_bytes(const Signature& signature) {
  int64_t bytes = 0;
  for (const ArrayType& output : signature.outputs)
    bytes += output.shape.elements() * static_cast<int64_t>(byte_size(output.dtype));
  return bytes;
}

}  // namespace

Result<ProgramPtr> IreeProgram::load(Device& device, const std::string& stablehlo,
                                     std::string_view module) {
  CONTINUO_TRY(Signature signature, parse_signature(stablehlo));
  auto overwritten = overwritten_arguments(stablehlo, signature);
  std::unique_ptr<IreeProgram> program(
      new IreeProgram(device, std::move(signature), std::move(overwritten)));
  CONTINUO_RETURN_IF_ERROR(program->start(module));
  return ProgramPtr(std::move(program));
}

Result<ProgramPtr> IreeProgram::deserialize(Device& device, std::span<const std::byte> bytes) {
  CONTINUO_TRY(ProgramBytes packed, unpack_program(kFormat, bytes));
  CONTINUO_TRY(auto overwritten, unpack_numbers(packed.payload, packed.signature.arguments.size()));
  std::unique_ptr<IreeProgram> program(
      new IreeProgram(device, std::move(packed.signature), std::move(overwritten)));
  CONTINUO_RETURN_IF_ERROR(program->start(packed.payload));
  return ProgramPtr(std::move(program));
}

Result<std::string> IreeProgram::serialize() const {
  std::string payload = pack_numbers(overwritten_);
  payload.append(reinterpret_cast<const char*>(bytes_.data()), bytes_.bytes());
  return pack_program(kFormat, signature_, payload);
}

Status IreeProgram::start(std::string_view module) {
  CONTINUO_RETURN_IF_ERROR(device_.enter());
  const iree_allocator_t host = iree_allocator_system();
  bytes_ = HostTensor(DType::kU8, {static_cast<int64_t>(module.size())});
  std::memcpy(bytes_.data(), module.data(), module.size());
  CONTINUO_RETURN_IF_ERROR(
      take("program",
           iree_vm_bytecode_module_create(device_.instance(), IREE_VM_BYTECODE_MODULE_FLAG_NONE,
                                          iree_make_const_byte_span(bytes_.data(), bytes_.bytes()),
                                          iree_allocator_null(), host, out(module_))));
  iree_vm_module_t* modules[] = {device_.hal_module(), module_.get()};
  CONTINUO_RETURN_IF_ERROR(take(
      "program", iree_vm_context_create_with_modules(device_.instance(), IREE_VM_CONTEXT_FLAG_NONE,
                                                     2, modules, host, out(context_))));
  CONTINUO_RETURN_IF_ERROR(take(
      "program", iree_vm_module_lookup_function_by_name(
                     module_.get(), IREE_VM_FUNCTION_LINKAGE_EXPORT, IREE_SV("main"), &main_)));
  CONTINUO_RETURN_IF_ERROR(take(
      "program",
      iree_vm_list_create(iree_vm_make_undefined_type_def(), arguments() + 2, host, out(inputs_))));
  return take("program", iree_vm_list_create(iree_vm_make_undefined_type_def(), outputs(), host,
                                             out(results_)));
}

Result<std::vector<BufferPtr>> IreeProgram::run(std::span<Buffer* const> arguments) {
  CONTINUO_RETURN_IF_ERROR(check_arguments(signature_, arguments, &device_));
  CONTINUO_RETURN_IF_ERROR(device_.enter());
  CONTINUO_TRY(const auto timeline, device_.timeline());
  Status status = push_arguments(arguments, *timeline);
  if (status.ok()) status = invoke(*timeline);
  if (!status.ok() && status.error().code == ErrorCode::kResourceExhausted)
    status = error(ErrorCode::kResourceExhausted, "{} (the outputs take {} bytes)",
                   status.error().message, output_bytes(signature_));
  auto buffers = status.ok() ? collect(arguments, timeline)
                             : Result<std::vector<BufferPtr>>(std::move(status).error());
  iree_vm_list_clear(inputs_.get());
  iree_vm_list_clear(results_.get());
  for (size_t i = 0; i < arguments.size(); ++i)
    if (signature_.arguments[i].donated) static_cast<IreeBuffer&>(*arguments[i]).consume();
  return buffers;
}

Status IreeProgram::push_arguments(std::span<Buffer* const> arguments, const Timeline& timeline) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const auto& buffer = static_cast<const IreeBuffer&>(*arguments[i]);
    CONTINUO_RETURN_IF_ERROR(buffer.usable(timeline));
    BufferViewHandle copied;
    if (std::binary_search(overwritten_.begin(), overwritten_.end(), i)) {
      CONTINUO_TRY(copied, copy(device_, buffer));
    }
    iree_vm_ref_t ref =
        iree_hal_buffer_view_retain_ref(copied != nullptr ? copied.get() : buffer.view());
    CONTINUO_RETURN_IF_ERROR(take("run", iree_vm_list_push_ref_move(inputs_.get(), &ref)));
  }
  return {};
}

// Every run waits for the one before: arrays are written in place, and given on at once.
Status IreeProgram::invoke(Timeline& timeline) {
  const uint64_t before = timeline.last;
  for (const uint64_t step : {before, before + 1}) {
    CONTINUO_TRY(FenceHandle fence, timeline.fence(step));
    iree_vm_ref_t ref = iree_hal_fence_move_ref(fence.release());
    CONTINUO_RETURN_IF_ERROR(take("run", iree_vm_list_push_ref_move(inputs_.get(), &ref)));
  }
  CONTINUO_RETURN_IF_ERROR(
      take("run", iree_vm_invoke(context_.get(), main_, IREE_VM_INVOCATION_FLAG_NONE, nullptr,
                                 inputs_.get(), results_.get(), iree_allocator_system())));
  timeline.last = before + 1;
  return {};
}

Result<std::vector<BufferPtr>> IreeProgram::collect(std::span<Buffer* const> arguments,
                                                    const std::shared_ptr<Timeline>& timeline) {
  std::set<iree_hal_buffer_t*> shared;  // memory that is somebody else's too
  for (size_t i = 0; i < arguments.size(); ++i)
    if (!signature_.arguments[i].donated)
      shared.insert(static_cast<IreeBuffer&>(*arguments[i]).memory());
  std::vector<BufferPtr> buffers;
  buffers.reserve(outputs());
  for (size_t i = 0; i < outputs(); ++i) {
    iree_vm_ref_t ref = iree_vm_ref_null();
    CONTINUO_RETURN_IF_ERROR(take("run", iree_vm_list_get_ref_retain(results_.get(), i, &ref)));
    BufferViewHandle view(iree_hal_buffer_view_deref(ref));
    if (view == nullptr) return error(ErrorCode::kInternal, "run: output {} is no array", i);
    auto buffer = std::make_unique<IreeBuffer>(device_, signature_.outputs[i], std::move(view),
                                               timeline, timeline->last);
    // An output that is an argument unchanged is the argument's own memory; so may two outputs be.
    if (!shared.insert(buffer->memory()).second) {
      CONTINUO_TRY(BufferViewHandle copied, copy(device_, *buffer));
      buffer = std::make_unique<IreeBuffer>(device_, signature_.outputs[i], std::move(copied),
                                            nullptr, 0);
    }
    buffers.push_back(std::move(buffer));
  }
  return buffers;
}

}  // namespace continuo::runtime::iree

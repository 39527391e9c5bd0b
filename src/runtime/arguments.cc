#include "runtime/arguments.h"

#include <atomic>

namespace continuo::runtime {
namespace {

std::atomic<uint64_t> next_run{1};

// An array that is donated may be given once only.
Status check_donations(const Signature& signature, std::span<Buffer* const> arguments) {
  const uint64_t run = next_run.fetch_add(1, std::memory_order_relaxed);
  for (const bool donated : {true, false})
    for (size_t i = 0; i < arguments.size(); ++i) {
      if (signature.arguments[i].donated != donated) continue;
      auto& buffer = static_cast<TypedBuffer&>(*arguments[i]);
      if (buffer.donated_in_run == run)
        return error(ErrorCode::kInvalidArgument,
                     "run: argument {} ({}): wanted a buffer of its own, got one that is donated "
                     "as another argument",
                     i, signature.arguments[i].name);
      if (donated) buffer.donated_in_run = run;
    }
  return {};
}

}  // namespace

Status TypedBuffer::check_download(std::span<const std::byte> out) const {
  if (consumed())
    return error(ErrorCode::kInvalidArgument, "download: {} was donated to a run", type_.str());
  const size_t bytes = static_cast<size_t>(type_.shape.elements()) * byte_size(type_.dtype);
  if (out.size() != bytes)
    return error(ErrorCode::kInvalidArgument, "download: {} has {} bytes, the destination {}",
                 type_.str(), bytes, out.size());
  return {};
}

Status check_arguments(const Signature& signature, std::span<Buffer* const> arguments,
                       const void* owner) {
  if (arguments.size() != signature.arguments.size())
    return error(ErrorCode::kInvalidArgument, "run: wanted {} arguments, got {}",
                 signature.arguments.size(), arguments.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Argument& wanted = signature.arguments[i];
    const auto refuse = [&](const std::string& got) {
      return error(ErrorCode::kInvalidArgument, "run: argument {} ({}): wanted {}, got {}", i,
                   wanted.name, wanted.type.str(), got);
    };
    const auto* buffer = dynamic_cast<TypedBuffer*>(arguments[i]);
    if (buffer == nullptr) return refuse("no buffer of this executor");
    if (buffer->owner() != owner) return refuse("a buffer of another executor");
    if (buffer->consumed()) return refuse("a buffer that an earlier run was given to keep");
    if (!(buffer->type() == wanted.type)) return refuse(buffer->type().str());
    if (wanted.donated && buffer->borrowed())
      return refuse("a buffer that reads the caller's memory, which cannot be donated");
  }
  return check_donations(signature, arguments);
}

Status check_host(const HostView& host) {
  int64_t bytes = static_cast<int64_t>(byte_size(host.dtype));
  for (int64_t dim : host.shape.dims()) {
    if (dim < 0)
      return error(ErrorCode::kInvalidArgument, "upload: negative size in {}", host.shape);
    if (dim != 0 && __builtin_mul_overflow(bytes, dim, &bytes))
      return error(ErrorCode::kInvalidArgument, "upload: {} is larger than memory", host.shape);
  }
  if (host.data == nullptr && host.shape.elements() != 0)
    return error(ErrorCode::kInvalidArgument, "upload: no data for {}{}", host.dtype, host.shape);
  return {};
}

Result<Shape> part_shape(const Shape& shape, Placement placement, size_t devices) {
  if (placement.split_axis == Placement::kWhole) return shape;
  const int64_t axis = placement.split_axis;
  const auto count = static_cast<int64_t>(devices);
  if (axis < 0 || axis >= shape.rank() || shape[axis] % count != 0)
    return error(ErrorCode::kInvalidArgument,
                 "cannot split {} along axis {} over {} devices: wanted an axis they divide", shape,
                 axis, devices);
  Shape part = shape;
  part[axis] /= count;
  return part;
}

}  // namespace continuo::runtime

#include "engine/weights.h"

#include <atomic>
#include <cstring>
#include <mutex>
#include <thread>

#include "base/guard.h"
#include "base/half.h"
#include "base/progress.h"

namespace continuo::engine {
namespace {

using checkpoint::TensorInfo;
using ops::WeightSpec;

// out[c,r] = in[r,c] for each of `count` matrices, in tiles that stay in cache.
template <typename T>
void transpose(std::span<const T> in, std::span<T> out, int64_t count, int64_t rows,
               int64_t columns) {
  constexpr int64_t kTile = 32;
  for (int64_t m = 0; m < count; ++m) {
    const T* from = in.data() + m * rows * columns;
    T* to = out.data() + m * rows * columns;
    for (int64_t r0 = 0; r0 < rows; r0 += kTile)
      for (int64_t c0 = 0; c0 < columns; c0 += kTile)
        for (int64_t c = c0; c < std::min(c0 + kTile, columns); ++c)
          for (int64_t r = r0; r < std::min(r0 + kTile, rows); ++r)
            to[c * rows + r] = from[r * columns + c];
  }
}

void narrow(std::span<const float> in, DType dtype, std::byte* out) {
  auto* halves = reinterpret_cast<uint16_t*>(out);
  for (size_t i = 0; i < in.size(); ++i)
    halves[i] = dtype == DType::kBF16 ? f32_to_bf16(in[i]) : f32_to_f16(in[i]);
}

// One source into its place `out` (the device's dtype).
Status place(const checkpoint::TensorSource& source, const TensorInfo& tensor,
             const WeightSpec& spec, std::byte* out) {
  const Shape& shape = spec.source_shape;
  const size_t count = static_cast<size_t>(shape.elements());
  const int64_t rows = shape.rank() >= 2 ? shape[shape.rank() - 2] : 1;
  const int64_t columns = shape.rank() >= 1 ? shape[shape.rank() - 1] : 1;
  const int64_t matrices = shape.elements() / (rows * columns);
  const auto plain = source.plain(tensor);
  if (plain && plain->dtype == spec.dtype && byte_size(spec.dtype) == 2) {
    // 16-bit elements move as they are, bit for bit; files promise no alignment.
    if (!spec.transpose) {
      std::memcpy(out, plain->data, count * sizeof(uint16_t));
      return ok_status();
    }
    HostTensor copy;
    const std::byte* data = plain->data;
    if (reinterpret_cast<uintptr_t>(data) % alignof(uint16_t) != 0) {
      copy = HostTensor(spec.dtype, shape);
      std::memcpy(copy.data(), data, copy.bytes());
      data = copy.data();
    }
    transpose<uint16_t>({reinterpret_cast<const uint16_t*>(data), count},
                        {reinterpret_cast<uint16_t*>(out), count}, matrices, rows, columns);
    return ok_status();
  }
  if (spec.dtype == DType::kF32 && !spec.transpose)
    return source.read_f32(tensor, {reinterpret_cast<float*>(out), count});
  HostTensor values(DType::kF32, shape);
  CONTINUO_RETURN_IF_ERROR(source.read_f32(tensor, values.as<float>()));
  if (!spec.transpose) {
    narrow(values.as<float>(), spec.dtype, out);
    return ok_status();
  }
  if (spec.dtype == DType::kF32) {
    transpose<float>(values.as<float>(), {reinterpret_cast<float*>(out), count}, matrices, rows,
                     columns);
    return ok_status();
  }
  HostTensor turned(DType::kF32, shape);
  transpose<float>(values.as<float>(), turned.as<float>(), matrices, rows, columns);
  narrow(turned.as<float>(), spec.dtype, out);
  return ok_status();
}

}  // namespace

Result<HostTensor> assemble(const checkpoint::TensorSource& source, const WeightSpec& spec) {
  if (spec.dtype != DType::kF32 && spec.dtype != DType::kBF16 && spec.dtype != DType::kF16)
    return error(ErrorCode::kUnsupported, "{}: weights of {} are not supported", spec.name,
                 name(spec.dtype));
  HostTensor tensor(spec.dtype, spec.shape);
  const size_t each = tensor.bytes() / spec.sources.size();
  for (size_t i = 0; i < spec.sources.size(); ++i) {
    const TensorInfo* info = source.find(spec.sources[i]);
    if (info == nullptr)
      return error(ErrorCode::kNotFound, "tensor {} is missing", spec.sources[i]);
    CONTINUO_RETURN_IF_ERROR(place(source, *info, spec, tensor.data() + i * each));
    source.release(*info);
  }
  return tensor;
}

Status Weights::check_one(const WeightSpec& spec) const {
  if (static_cast<int64_t>(spec.sources.size()) * spec.source_shape.elements() !=
      spec.shape.elements())
    return error(ErrorCode::kInternal, "{}: {} sources of {} do not make {}", spec.name,
                 spec.sources.size(), spec.source_shape, spec.shape);
  for (const std::string& wanted : spec.sources) {
    const TensorInfo* info = source_.find(wanted);
    if (info == nullptr)
      return error(ErrorCode::kNotFound, "tensor {} is missing (wanted shape {})", wanted,
                   spec.source_shape);
    // Equal up to sizes of 1 (a conv weight [C,1,k] may lie as [C,k]).
    std::vector<int64_t> have, want;
    for (int64_t dim : info->shape.dims())
      if (dim != 1) have.push_back(dim);
    for (int64_t dim : spec.source_shape.dims())
      if (dim != 1) want.push_back(dim);
    if (have != want)
      return error(ErrorCode::kInvalidArgument, "{}: tensor {}: wanted shape {}, got {}",
                   source_.location(*info), wanted, spec.source_shape, info->shape);
  }
  return ok_status();
}

runtime::Buffer* Weights::find(const std::string& name) const {
  const auto place = entries_.find(name);
  return place == entries_.end() ? nullptr : place->second.buffer.get();
}

namespace {

// A tensor that the device can take as it lies in the file.
std::optional<HostView> as_it_lies(const checkpoint::TensorSource& source, const WeightSpec& spec) {
  if (spec.sources.size() != 1 || spec.transpose) return std::nullopt;
  const TensorInfo* info = source.find(spec.sources[0]);
  auto plain = source.plain(*info);
  if (!plain || plain->dtype != spec.dtype) return std::nullopt;
  plain->shape = spec.shape;
  return plain;
}

}  // namespace

Status Weights::check(const std::vector<WeightSpec>& specs) const {
  std::string problems;
  int64_t count = 0;
  for (const WeightSpec& spec : specs) {
    if (entries_.contains(spec.name)) continue;
    const Status status = check_one(spec);
    if (!status.ok() && ++count <= 8)
      problems += (problems.empty() ? "" : "; ") + status.error().message;
  }
  if (count == 0) return ok_status();
  return error(ErrorCode::kInvalidArgument, "{}{}", problems,
               count > 8 ? fmt::format("; and {} more", count - 8) : "");
}

Status Weights::load(const std::vector<WeightSpec>& specs, bool show_progress) {
  CONTINUO_RETURN_IF_ERROR(check(specs));
  std::vector<const WeightSpec*> wanted;
  int64_t total = 0;
  for (const WeightSpec& spec : specs) {
    if (entries_.contains(spec.name)) continue;
    wanted.push_back(&spec);
    total += spec.shape.elements() * int64_t(byte_size(spec.dtype));
  }

  // Readers assemble in parallel; the executor takes one upload at a time.
  Progress progress("loading", total, show_progress);
  const bool host_is_device = executor_.info().platform == "cpu";
  std::atomic<size_t> next{0};
  std::mutex mutex;
  Status failure;
  bool thrown = false;
  const auto read_some = [&] {
    for (size_t i = next++; i < wanted.size(); i = next++) {
      const WeightSpec& spec = *wanted[i];
      const auto direct = as_it_lies(source_, spec);
      Entry entry;
      if (!direct) {
        auto assembled = assemble(source_, spec);
        const std::lock_guard lock(mutex);
        if (!assembled.ok()) {
          failure = std::move(assembled).error();
          return;
        }
        if (!failure.ok()) return;
        entry.host = std::move(assembled).value();
      }
      const std::lock_guard lock(mutex);
      if (!failure.ok()) return;
      auto buffer = executor_.upload(
          direct ? *direct : entry.host.view(),
          host_is_device ? runtime::HostLifetime::kBuffer : runtime::HostLifetime::kDuringCall);
      if (!buffer.ok()) {
        failure = with_context(std::move(buffer).error(), spec.name);
        return;
      }
      entry.buffer = std::move(buffer).value();
      if (!host_is_device) entry.host = HostTensor();
      // Only what was copied may leave memory; what is read in place stays mapped.
      if (direct && (!host_is_device ||
                     reinterpret_cast<uintptr_t>(direct->data) % HostTensor::kAlignment != 0))
        source_.release(*source_.find(spec.sources[0]));
      const int64_t bytes = spec.shape.elements() * int64_t(byte_size(spec.dtype));
      bytes_ += bytes;
      progress.advance(bytes, spec.name);
      entries_[spec.name] = std::move(entry);
    }
  };
  const auto reader = [&] {
    Status read = guarded([&]() -> Status {
      read_some();
      return ok_status();
    });
    if (read.ok()) return;
    const std::lock_guard lock(mutex);
    failure = std::move(read).error();
    thrown = true;
  };
  std::vector<std::thread> threads;
  const unsigned count = std::max(1u, std::min(8u, std::thread::hardware_concurrency()));
  // Where the system has no more threads, fewer read.
  static_cast<void>(guarded([&]() -> Status {
    threads.reserve(count);
    for (unsigned i = 1; i < count; ++i) threads.emplace_back(reader);
    return ok_status();
  }));
  reader();
  for (std::thread& thread : threads) thread.join();
  if (thrown)
    return with_context(std::move(failure).error(),
                        fmt::format("after {} of {} bytes of weights", bytes_, total));
  return failure;
}

}  // namespace continuo::engine

#include "runtime/pjrt/cpu_kernels.h"

#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <map>
#include <mutex>
#include <span>

#include "runtime/kernels/cpu/linear.h"
#include "runtime/pjrt/ffi.h"

namespace continuo::runtime::pjrt {
namespace {

// Below this many products a call is over before another thread has woken up.
constexpr int64_t kWorthAThread = 1 << 15;

const XLA_FFI_Buffer& argument(const XLA_FFI_CallFrame* frame, int64_t i) {
  return *static_cast<const XLA_FFI_Buffer*>(frame->args.args[i]);
}
std::span<const int64_t> dims(const XLA_FFI_Buffer& buffer) {
  return {buffer.dims, static_cast<size_t>(buffer.rank)};
}
std::string describe(const XLA_FFI_Buffer& buffer) {
  return fmt::format("type {} [{}]", static_cast<int>(buffer.dtype), fmt::join(dims(buffer), ","));
}
bool is_floats(const XLA_FFI_Buffer& buffer, int64_t rank) {
  return buffer.dtype == XLA_FFI_DataType_F32 && buffer.rank == rank;
}

// "" or what does not fit.
std::string check_linear(const XLA_FFI_CallFrame* frame) {
  const int64_t count = frame->args.size;
  if ((count != 2 && count != 3) || frame->rets.size != 1)
    return fmt::format("[continuo.linear] wanted x, w and maybe e, got {} arguments", count);
  const auto &x = argument(frame, 0), &w = argument(frame, 1);
  const auto& y = *static_cast<const XLA_FFI_Buffer*>(frame->rets.rets[0]);
  const bool fits = is_floats(x, 2) && is_floats(w, count) && is_floats(y, 2) &&
                    dims(w).back() == dims(x)[1] && dims(y)[0] == dims(x)[0] &&
                    dims(y)[1] == dims(w)[size_t(count) - 2];
  if (!fits)
    return fmt::format(
        "[continuo.linear] wanted float32 x:[n,in], w:[out,in], y:[n,out], got {}, "
        "{}, {}",
        describe(x), describe(w), describe(y));
  if (count == 2) return "";
  const XLA_FFI_Buffer& e = argument(frame, 2);
  if (e.dtype != XLA_FFI_DataType_S32 || e.rank != 0)
    return fmt::format("[continuo.linear] wanted e:i32[], got {}", describe(e));
  const int32_t index = *static_cast<const int32_t*>(e.data);
  if (index < 0 || index >= dims(w)[0])
    return fmt::format("[continuo.linear] wanted 0 <= e < {}, got {}", dims(w)[0], index);
  return "";
}

XLA_FFI_Error* linear_handler(XLA_FFI_CallFrame* frame) {
  if (answer_metadata(frame)) return nullptr;
  if (const std::string wrong = check_linear(frame); !wrong.empty()) return ffi_error(frame, wrong);
  const auto &x = argument(frame, 0), &w = argument(frame, 1);
  const int64_t n = dims(x)[0], in = dims(x)[1], out = dims(w)[size_t(w.rank) - 2];
  const float* weight = static_cast<const float*>(w.data);
  if (frame->args.size == 3)
    weight += int64_t{*static_cast<const int32_t*>(argument(frame, 2).data)} * out * in;
  const float* from = static_cast<const float*>(x.data);
  float* to = static_cast<float*>(static_cast<const XLA_FFI_Buffer*>(frame->rets.rets[0])->data);
  const int64_t products_a_line = std::max<int64_t>(1, n * in);
  const int64_t block = kernels::kLinearBlock;
  const int64_t grain = (kWorthAThread / products_a_line + block) / block * block;
  parallel_for(frame, out, grain, [&](int64_t begin, int64_t end) {
    kernels::linear(from, weight, to, n, in, out, begin, end);
  });
  return nullptr;
}

std::vector<std::string> register_all(const Api& api) {
  const Status status = register_handler(api, "continuo.linear", linear_handler);
  if (status.ok()) return {"continuo.linear"};
  spdlog::warn("products of few rows will be slow: {}", status.error().message);
  return {};
}

}  // namespace

std::vector<std::string> register_cpu_kernels(const Api& api) {
  static std::mutex mutex;
  static std::map<const Api*, std::vector<std::string>> registered;
  const std::lock_guard lock(mutex);
  const auto found = registered.find(&api);
  if (found != registered.end()) return found->second;
  return registered[&api] = register_all(api);
}

}  // namespace continuo::runtime::pjrt

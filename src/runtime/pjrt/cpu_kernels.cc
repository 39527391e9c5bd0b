#include "runtime/pjrt/cpu_kernels.h"

#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <map>
#include <mutex>
#include <new>
#include <span>

#include "runtime/kernels/cpu/attention.h"
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

// --- attention ---

bool is_ints(const XLA_FFI_Buffer& buffer, int64_t size) {
  return buffer.dtype == XLA_FFI_DataType_S32 && buffer.rank == 1 && dims(buffer)[0] == size;
}

template <typename T>
const T* data(const XLA_FFI_CallFrame* frame, int64_t i) {
  return static_cast<const T*>(argument(frame, i).data);
}

// The arguments as a kernel takes them, or what does not fit.
Result<kernels::AttentionCall> attention_call(const XLA_FFI_CallFrame* frame) {
  const int64_t count = frame->args.size;
  if ((count != 6 && count != 7) || frame->rets.size != 1)
    return error(ErrorCode::kInvalidArgument,
                 "[continuo.attention] wanted q, k, v, slot, start, length and maybe sinks, got {} "
                 "arguments",
                 count);
  const auto &q = argument(frame, 0), &k = argument(frame, 1), &v = argument(frame, 2);
  const auto& y = *static_cast<const XLA_FFI_Buffer*>(frame->rets.rets[0]);
  bool fits = is_floats(q, 4) && is_floats(k, 4) && is_floats(v, 4) && is_floats(y, 4);
  for (size_t i = 0; fits && i < 3; ++i)
    fits = dims(k)[i] == dims(v)[i] && dims(q)[i] == dims(y)[i];
  fits = fits && dims(q)[3] == dims(k)[3] && dims(y)[3] <= dims(v)[3] && dims(k)[1] > 0 &&
         dims(q)[2] % dims(k)[1] == 0;
  if (!fits)
    return error(ErrorCode::kInvalidArgument,
                 "[continuo.attention] wanted float32 q:[R,T,Hq,D], k:[B,Hk,S,D], v:[B,Hk,S,V], "
                 "y:[R,T,Hq,Dv], got {}, {}, {}, {}",
                 describe(q), describe(k), describe(v), describe(y));
  const int64_t R = dims(q)[0], Hq = dims(q)[2];
  for (int64_t i = 3; i < 6; ++i)
    if (!is_ints(argument(frame, i), R))
      return error(ErrorCode::kInvalidArgument,
                   "[continuo.attention] wanted slot, start, length:i32[{}], got {}", R,
                   describe(argument(frame, i)));
  if (count == 7 && (!is_floats(argument(frame, 6), 1) || dims(argument(frame, 6))[0] != Hq))
    return error(ErrorCode::kInvalidArgument,
                 "[continuo.attention] wanted float32 sinks:[{}], got {}", Hq,
                 describe(argument(frame, 6)));
  kernels::AttentionCall call{data<float>(frame, 0),
                              data<float>(frame, 1),
                              data<float>(frame, 2),
                              nullptr,
                              static_cast<float*>(y.data),
                              data<int32_t>(frame, 3),
                              data<int32_t>(frame, 4),
                              data<int32_t>(frame, 5),
                              R,
                              dims(q)[1],
                              Hq,
                              dims(k)[1],
                              dims(k)[2],
                              dims(q)[3],
                              dims(v)[3],
                              dims(y)[3]};
  if (count == 7) call.sinks = data<float>(frame, 6);
  const bool known = attribute(frame, "scale", call.scale) &&
                     attribute(frame, "softcap", call.softcap) &&
                     attribute(frame, "window", call.window) && call.window >= 0;
  if (!known)
    return error(ErrorCode::kInvalidArgument,
                 "[continuo.attention] wanted attributes scale and softcap:f32 and window:i64");
  for (int64_t r = 0; r < R; ++r)
    if (call.length[r] < 0 || call.length[r] > call.T || call.start[r] < 0 ||
        int64_t{call.start[r]} + call.length[r] > call.S || call.slot[r] < 0 ||
        call.slot[r] >= dims(k)[0])
      return error(
          ErrorCode::kInvalidArgument,
          "[continuo.attention] row {}: wanted a slot below {}, a length of at most {} and "
          "an end of at most {}, got slot {}, start {}, length {}",
          r, dims(k)[0], call.T, call.S, call.slot[r], call.start[r], call.length[r]);
  return call;
}

XLA_FFI_Error* attention_handler(XLA_FFI_CallFrame* frame) {
  if (answer_metadata(frame)) return nullptr;
  const auto call = attention_call(frame);
  if (!call.ok()) return ffi_error(frame, call.error().message);
  std::atomic<bool> no_memory{false};
  try {
    kernels::Attention attention(*call);
    const int64_t parts = std::max<int64_t>(1, attention.parts());
    const int64_t grain = kWorthAThread * parts / std::max<int64_t>(1, attention.products()) + 1;
    parallel_for(frame, attention.parts(), grain, [&](int64_t begin, int64_t end) {
      try {
        attention.run(begin, end);
      } catch (const std::bad_alloc&) {
        no_memory = true;
      }
    });
    attention.finish();
  } catch (const std::bad_alloc&) {
    no_memory = true;
  }
  return no_memory ? ffi_error(frame, "[continuo.attention] out of memory") : nullptr;
}

std::vector<std::string> register_all(const Api& api) {
  std::vector<std::string> names;
  const auto add = [&](const char* name, XLA_FFI_Handler* handler, const char* without) {
    const Status status = register_handler(api, name, handler);
    if (status.ok())
      names.emplace_back(name);
    else
      spdlog::warn("{}: {}", without, status.error().message);
  };
  add("continuo.linear", linear_handler, "products of few rows will be slow");
  add("continuo.attention", attention_handler, "attention will copy what it reads");
  return names;
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

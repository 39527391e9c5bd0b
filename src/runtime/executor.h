// Executor: compiles StableHLO text and runs it on a device. One implementation a runtime
// (pjrt/, iree/); nothing above this header knows which.
//
// Threads: compile() and deserialize() may be called from several threads at once. All else of one
// Executor belongs to one thread at a time. Buffers and Programs must be gone before their
// Executor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/host_tensor.h"
#include "base/result.h"
#include "base/shape.h"
#include "graph/target.h"

namespace continuo::runtime {

// How an array lies on an executor's devices: whole on each, or cut along one axis into as many
// equal parts as there are devices, in their order. With one device both are the same.
struct Placement {
  static constexpr int64_t kWhole = -1;
  int64_t split_axis = kWhole;
};

// An array on the device or devices. Owned by whoever holds the pointer; freed with it.
class Buffer {
 public:
  virtual ~Buffer() = default;
  virtual DType dtype() const = 0;
  virtual const Shape& shape() const = 0;
  // Copies to the host and waits for it, and so for whatever computes it: an error of that run is
  // reported here. `out` has the buffer's dtype and element count, row-major.
  virtual Status download(std::span<std::byte> out) const = 0;
  Result<HostTensor> download() const;
};
using BufferPtr = std::unique_ptr<Buffer>;

// A compiled graph. An argument that carries `tf.aliasing_output` or `jax.buffer_donor = true` in
// the text is donated: after run() its Buffer is empty, and using it again is an error. A run()
// that refuses its arguments (kInvalidArgument before anything is launched) takes nothing. A Buffer
// that reads the caller's memory in place (HostLifetime::kBuffer) cannot be donated.
class Program {
 public:
  virtual ~Program() = default;
  virtual size_t arguments() const = 0;
  virtual size_t outputs() const = 0;
  // Launches with `arguments` in the graph's order; returns the outputs in order. The outputs may
  // still be computed when this returns: download() waits. Arguments may be freed at once.
  // kInvalidArgument names the argument, what was wanted and what came.
  virtual Result<std::vector<BufferPtr>> run(std::span<Buffer* const> arguments) = 0;
  // Bytes that Executor::deserialize takes back, on the same plugin, device kind and CPU.
  virtual Result<std::string> serialize() const = 0;
};
using ProgramPtr = std::unique_ptr<Program>;

struct DeviceInfo {
  std::string executor;      // "pjrt" or "iree"
  std::string plugin;        // the file
  std::string platform;      // "cpu", "cuda"
  std::string device_kind;   // as the runtime names it, "NVIDIA H200"
  std::string version;       // of plugin and compiler: part of the cache key
  std::string cpu_features;  // of the machine, part of the cache key on "cpu"; else empty
  int devices = 1;           // that this executor works over
  int64_t memory_bytes = 0;  // of one device; 0 = unknown
};

// When the caller's bytes may be reused.
enum class HostLifetime {
  kDuringCall,  // copied before upload() returns
  kBuffer,      // the caller keeps them valid and unchanged until the Buffer is gone, so that an
                // executor that can read host memory in place (64-byte aligned) need not copy
};

class Executor {
 public:
  virtual ~Executor() = default;
  virtual const DeviceInfo& info() const = 0;
  // Compiler options that change the code: part of the cache key.
  virtual std::string options_key() const = 0;
  virtual Result<ProgramPtr> compile(const std::string& stablehlo) = 0;
  // kCorrupt or the plugin's own error for bytes that serialize() did not write.
  virtual Result<ProgramPtr> deserialize(std::span<const std::byte> bytes) = 0;
  // kInvalidArgument for a negative size, missing data or a split that does not divide evenly.
  virtual Result<BufferPtr> upload(const HostView& host, HostLifetime lifetime,
                                   Placement placement) = 0;
  // A zero-filled array on the device, for which the host allocates nothing.
  virtual Result<BufferPtr> zeros(DType dtype, const Shape& shape, Placement placement) = 0;
  Result<BufferPtr> upload(const HostView& host, HostLifetime lifetime) {
    return upload(host, lifetime, Placement{});
  }
  Result<BufferPtr> zeros(DType dtype, const Shape& shape) {
    return zeros(dtype, shape, Placement{});
  }
  // What graphs for this executor should look like; `weights` and `kv` are its default dtypes.
  virtual graph::Target target() const = 0;
};

struct ExecutorOptions {
  std::string executor = "pjrt";  // "pjrt" | "iree"
  std::string plugin;             // PJRT plugin or IREE's compiler; "" = environment, the default
  std::string device;             // of IREE: "local-task" (default), "local-sync", "cuda"; PJRT: ""
  int threads = 0;                // of a CPU device; 0 = every core the process may use
  int devices = 1;                // that one program runs on together; CPU devices are virtual
};

// Opens the executor that `options` name. Defined in runtime/open.cc.
Result<std::unique_ptr<Executor>> open_executor(const ExecutorOptions& options);

}  // namespace continuo::runtime

// TensorSource: a checkpoint's tensors under their Hugging Face names, whatever file they are in.
// A model asks for names and shapes only; bytes are read when weights go to the device.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/host_tensor.h"
#include "base/result.h"
#include "base/shape.h"

namespace continuo::checkpoint {

// How the elements are stored. kPlain: `dtype` as it is; else blocks that dequantise to float32.
enum class Encoding {
  kPlain,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
  kMXFP4,   // gpt-oss: blocks of 32 E2M1 values and one E8M0 scale
  kAffine,  // MLX: packed unsigned integers, scale and bias per group
};
std::string_view name(Encoding encoding);

struct TensorInfo {
  std::string name;
  Shape shape;                // logical, row-major, as Hugging Face stores it
  DType dtype = DType::kF32;  // of a plain tensor; kF32 for a quantised one
  Encoding encoding = Encoding::kPlain;
};

// The order of a tensor's stored rows: seen as [.., a, b, rows], the logical order has a and b
// exchanged. llama's query and key projections in GGUF have a = head_dim / 2, b = 2.
struct RowOrder {
  int64_t a = 1, b = 1, rows = 1;
  bool permuted() const { return a > 1 && b > 1; }
};

// The stored planes of a quantised tensor, for kernels that compute on them. Borrowed from the
// source. GGUF: `blocks` only. MXFP4: blocks, scales. MLX affine: blocks, scales, biases.
struct QuantizedTensor {
  Encoding encoding = Encoding::kPlain;
  Shape shape;                   // logical
  int bits = 0, group_size = 0;  // bits: kAffine, kMXFP4
  HostView blocks, scales, biases;
  RowOrder rows;  // GGUF; the blocks lie in the stored order
};

// Owned by a Checkpoint. Const members may be called from any thread.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  // Every tensor's description, sorted by name.
  virtual const std::vector<TensorInfo>& tensors() const = 0;
  // nullptr where there is none of that name.
  const TensorInfo* find(std::string_view name) const;
  // The tensor's elements as float32 (dequantised, converted), row-major.
  virtual Status read_f32(const TensorInfo& tensor, std::span<float> out) const = 0;
  // A plain tensor's bytes where they lie in the file, untransformed; nullopt where the file holds
  // them otherwise (quantised, permuted, split).
  virtual std::optional<HostView> plain(const TensorInfo& tensor) const = 0;
  virtual std::optional<QuantizedTensor> quantized(const TensorInfo& tensor) const = 0;
  // Lets go of the resident pages of what was read: the file is still there.
  virtual void release(const TensorInfo& tensor) const = 0;
  // For error messages: the file that holds the tensor.
  virtual std::string location(const TensorInfo& tensor) const = 0;
};

}  // namespace continuo::checkpoint

#include "checkpoint/safetensors_source.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "checkpoint/affine.h"
#include "checkpoint/convert.h"
#include "checkpoint/mxfp4.h"
#include "checkpoint/stored_tensor.h"

namespace continuo::checkpoint {
namespace {

class SafetensorsSource : public TensorSource {
 public:
  SafetensorsSource(std::unique_ptr<SafetensorsSet> files, std::vector<StoredTensor> stored)
      : files_(std::move(files)), stored_(std::move(stored)) {
    infos_.reserve(stored_.size());
    for (const StoredTensor& tensor : stored_) infos_.push_back(tensor.info);
  }

  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  Status read_f32(const TensorInfo& tensor, std::span<float> out) const override;
  std::optional<HostView> plain(const TensorInfo& tensor) const override;
  std::optional<QuantizedTensor> quantized(const TensorInfo& tensor) const override;
  void release(const TensorInfo& tensor) const override;
  std::string location(const TensorInfo& tensor) const override;

 private:
  // By name, because a caller may hold a copy of the description.
  const StoredTensor* stored(const TensorInfo& tensor) const {
    const TensorInfo* info = find(tensor.name);
    return info == nullptr ? nullptr : &stored_[static_cast<size_t>(info - infos_.data())];
  }

  std::unique_ptr<SafetensorsSet> files_;  // what the planes of stored_ point into
  std::vector<StoredTensor> stored_;
  std::vector<TensorInfo> infos_;  // those of stored_, in the same order
};

void dequantize(const StoredTensor& tensor, std::span<float> out) {
  const Shape& shape = tensor.info.shape;
  if (tensor.info.encoding == Encoding::kMXFP4) {
    const Shape& blocks = tensor.blocks.view.shape;
    dequantize_mxfp4(tensor.blocks.view.data, tensor.scales.view.data,
                     static_cast<size_t>(blocks[0]), static_cast<size_t>(blocks[1]),
                     static_cast<size_t>(blocks[2]), out);
    return;
  }
  AffineRows rows;
  rows.bits = tensor.bits;
  rows.group_size = tensor.group_size;
  rows.columns = static_cast<size_t>(shape[shape.rank() - 1]);
  rows.rows = out.size() / rows.columns;
  rows.scale_dtype = tensor.scales.view.dtype;
  rows.packed = tensor.blocks.view.data;
  rows.scales = tensor.scales.view.data;
  rows.biases = tensor.biases.view.data;
  dequantize_affine(rows, out);
}

Status SafetensorsSource::read_f32(const TensorInfo& tensor, std::span<float> out) const {
  const StoredTensor* found = stored(tensor);
  if (found == nullptr)
    return error(ErrorCode::kNotFound, "tensor \"{}\" is not in this checkpoint", tensor.name);
  if (!found->unreadable.empty())
    return error(ErrorCode::kUnsupported,
                 "{}: tensor \"{}\" is stored as {}, which cannot be read yet", location(tensor),
                 tensor.name, found->unreadable);
  if (out.size() != static_cast<size_t>(found->info.shape.elements()))
    return error(ErrorCode::kInvalidArgument, "tensor \"{}\" {} has {} elements, asked for {}",
                 tensor.name, found->info.shape, found->info.shape.elements(), out.size());
  if (out.empty()) return {};
  if (found->info.encoding == Encoding::kPlain)
    to_f32(found->info.dtype, found->blocks.view.data, out);
  else
    dequantize(*found, out);
  return {};
}

std::optional<HostView> SafetensorsSource::plain(const TensorInfo& tensor) const {
  const StoredTensor* found = stored(tensor);
  if (found == nullptr || found->info.encoding != Encoding::kPlain || !found->unreadable.empty())
    return std::nullopt;
  return found->blocks.view;
}

std::optional<QuantizedTensor> SafetensorsSource::quantized(const TensorInfo& tensor) const {
  const StoredTensor* found = stored(tensor);
  if (found == nullptr || found->info.encoding == Encoding::kPlain) return std::nullopt;
  return QuantizedTensor{found->info.encoding, found->info.shape,  found->bits,
                         found->group_size,    found->blocks.view, found->scales.view,
                         found->biases.view};
}

void SafetensorsSource::release(const TensorInfo& tensor) const {
  const StoredTensor* found = stored(tensor);
  if (found == nullptr) return;
  for (const Plane* plane : {&found->blocks, &found->scales, &found->biases})
    if (plane->file != nullptr) plane->file->file.release(plane->offset, plane->view.bytes());
}

std::string SafetensorsSource::location(const TensorInfo& tensor) const {
  const StoredTensor* found = stored(tensor);
  return found == nullptr ? "" : found->blocks.file->file.path();
}

}  // namespace

Result<std::unique_ptr<TensorSource>> make_safetensors_source(std::unique_ptr<SafetensorsSet> files,
                                                              const nlohmann::json& config) {
  CONTINUO_TRY(std::vector<StoredTensor> stored, logical_tensors(*files, config));
  return std::unique_ptr<TensorSource>(
      std::make_unique<SafetensorsSource>(std::move(files), std::move(stored)));
}

}  // namespace continuo::checkpoint

#include "checkpoint/mlx_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/text_config.h"

namespace continuo::checkpoint {
namespace {

using nlohmann::json;

int64_t last_dim(const Shape& shape) { return shape[shape.rank() - 1]; }

Shape with_dim(const Shape& shape, int64_t axis, int64_t size) {
  std::vector<int64_t> dims = shape.dims();
  dims[static_cast<size_t>(axis)] = size;
  return Shape(std::move(dims));
}

// The shape of a and b joined, or nothing where they do not fit.
std::optional<Shape> joined_shape(MlxForm form, const Shape& a, const Shape& b) {
  const int64_t rank = a.rank();
  if (b.rank() != rank || rank < 1) return std::nullopt;
  if (form == MlxForm::kAlternate) {
    if (a != b) return std::nullopt;
    return with_dim(a, rank - 1, 2 * last_dim(a));
  }
  if (form == MlxForm::kLatent) {
    if (rank != 3 || a[0] != b[0] || a[1] != b[2]) return std::nullopt;
    return Shape{a[0] * (a[2] + b[1]), a[1]};
  }
  if (rank < 2 || with_dim(a, rank - 2, 1) != with_dim(b, rank - 2, 1)) return std::nullopt;
  return with_dim(a, rank - 2, a[rank - 2] + b[rank - 2]);
}

// a:[n,sa] b:[n,sb] -> out:[n,sa+sb]
void join_rows(std::span<const float> a, std::span<const float> b, size_t n, float* out) {
  const size_t sa = a.size() / n, sb = b.size() / n;
  for (size_t i = 0; i < n; ++i) {
    out = std::copy_n(a.data() + i * sa, sa, out);
    out = std::copy_n(b.data() + i * sb, sb, out);
  }
}

void alternate(std::span<const float> a, std::span<const float> b, float* out) {
  for (size_t i = 0; i < a.size(); ++i) {
    *out++ = a[i];
    *out++ = b[i];
  }
}

// embed_q:[H,rank,N] unembed_out:[H,V,rank] -> out:[H,N+V,rank]
void join_latent(std::span<const float> embed_q, std::span<const float> unembed_out,
                 const Shape& shape, float* out) {
  const auto H = static_cast<size_t>(shape[0]), rank = static_cast<size_t>(shape[1]),
             N = static_cast<size_t>(shape[2]);
  const size_t values = unembed_out.size() / H;
  for (size_t h = 0; h < H; ++h) {
    const float* q = embed_q.data() + h * rank * N;
    for (size_t n = 0; n < N; ++n)
      for (size_t r = 0; r < rank; ++r) *out++ = q[r * N + n];
    out = std::copy_n(unembed_out.data() + h * values, values, out);
  }
}

void correct(const MlxTensor& tensor, std::span<float> values) {
  if (!tensor.over.empty()) {
    const size_t each = values.size() / tensor.over.size();
    for (size_t i = 0; i < values.size(); ++i) values[i] /= tensor.over[i / each];
  }
  if (tensor.minus != 0)
    for (float& value : values) value -= tensor.minus;
}

class MlxSource : public TensorSource {
 public:
  MlxSource(std::unique_ptr<TensorSource> stored, std::vector<MlxTensor> tensors)
      : stored_(std::move(stored)), tensors_(std::move(tensors)) {
    infos_.reserve(tensors_.size());
    for (const MlxTensor& tensor : tensors_) infos_.push_back(tensor.info);
  }

  const std::vector<TensorInfo>& tensors() const override { return infos_; }

  Status read_f32(const TensorInfo& tensor, std::span<float> out) const override {
    const MlxTensor* own = mine(tensor);
    if (own == nullptr)
      return error(ErrorCode::kNotFound, "tensor \"{}\" is not in this checkpoint", tensor.name);
    if (own->form == MlxForm::kAs) {
      CONTINUO_RETURN_IF_ERROR(stored_->read_f32(source(*own, 0), out));
    } else {
      CONTINUO_RETURN_IF_ERROR(read_joined(*own, out));
    }
    correct(*own, out);
    return {};
  }

  std::optional<HostView> plain(const TensorInfo& tensor) const override {
    const MlxTensor* own = mine(tensor);
    if (own == nullptr || !own->untouched()) return std::nullopt;
    std::optional<HostView> view = stored_->plain(source(*own, 0));
    if (view) view->shape = own->info.shape;
    return view;
  }

  std::optional<QuantizedTensor> quantized(const TensorInfo& tensor) const override {
    const MlxTensor* own = mine(tensor);
    if (own == nullptr || !own->untouched()) return std::nullopt;
    return stored_->quantized(source(*own, 0));
  }

  void release(const TensorInfo& tensor) const override {
    const MlxTensor* own = mine(tensor);
    for (size_t i = 0; own != nullptr && i < own->sources.size(); ++i)
      stored_->release(source(*own, i));
  }

  std::string location(const TensorInfo& tensor) const override {
    const MlxTensor* own = mine(tensor);
    return own == nullptr ? "" : stored_->location(source(*own, 0));
  }

 private:
  const MlxTensor* mine(const TensorInfo& tensor) const {
    const TensorInfo* info = find(tensor.name);
    return info == nullptr ? nullptr : &tensors_[static_cast<size_t>(info - infos_.data())];
  }
  const TensorInfo& source(const MlxTensor& tensor, size_t i) const {
    return *stored_->find(tensor.sources[i]);
  }

  Status read_joined(const MlxTensor& tensor, std::span<float> out) const {
    if (out.size() != static_cast<size_t>(tensor.info.shape.elements()))
      return error(ErrorCode::kInvalidArgument, "tensor \"{}\" {} has {} elements, asked for {}",
                   tensor.info.name, tensor.info.shape, tensor.info.shape.elements(), out.size());
    std::vector<float> parts[2];
    for (size_t i = 0; i < 2; ++i) {
      const TensorInfo& from = source(tensor, i);
      parts[i].resize(static_cast<size_t>(from.shape.elements()));
      CONTINUO_RETURN_IF_ERROR(stored_->read_f32(from, parts[i]));
    }
    const Shape& shape = source(tensor, 0).shape;
    if (tensor.form == MlxForm::kAlternate) {
      alternate(parts[0], parts[1], out.data());
    } else if (tensor.form == MlxForm::kLatent) {
      join_latent(parts[0], parts[1], shape, out.data());
    } else {
      const auto matrix = static_cast<size_t>(shape[shape.rank() - 2] * last_dim(shape));
      join_rows(parts[0], parts[1], parts[0].size() / matrix, out.data());
    }
    return {};
  }

  std::unique_ptr<TensorSource> stored_;
  std::vector<MlxTensor> tensors_;
  std::vector<TensorInfo> infos_;  // those of tensors_, in the same order
};

// MLX has a convolution's channels last: [channels,k,1] for [channels,1,k], the same bytes.
void undo_convolution(MlxTensor& tensor) {
  Shape& shape = tensor.info.shape;
  if (shape.rank() == 3 && shape[2] == 1) shape = Shape{shape[0], 1, shape[1]};
}

const MlxFamily* family_of(const json& config) {
  const auto type = config.is_object() ? config.find("model_type") : config.end();
  if (type == config.end() || !type->is_string()) return nullptr;
  return find_mlx_family(type->get_ref<const std::string&>());
}

}  // namespace

const MlxFamily* find_mlx_family(std::string_view model_type) {
  const std::span<const MlxFamily> all = mlx_families();
  const auto found = std::find_if(all.begin(), all.end(), [&](const MlxFamily& family) {
    return family.model_type == model_type;
  });
  return found == all.end() ? nullptr : &*found;
}

MlxRewriter::MlxRewriter(const TensorSource& stored, const json& config) : config_(config) {
  for (const TensorInfo& info : stored.tensors())
    tensors_.push_back({info, {info.name}, MlxForm::kAs, {}, 0});
}

double MlxRewriter::number(const char* key, double fallback) const {
  const auto value = config_.find(key);
  return value != config_.end() && value->is_number() ? value->get<double>() : fallback;
}

std::vector<double> MlxRewriter::numbers(const char* key) const {
  std::vector<double> out;
  const auto value = config_.find(key);
  if (value == config_.end() || !value->is_array()) return out;
  for (const json& each : *value)
    if (each.is_number()) out.push_back(each.get<double>());
  return out;
}

void MlxRewriter::each(std::string_view ending, const std::function<void(MlxTensor&)>& change) {
  for (MlxTensor& tensor : tensors_)
    if (tensor.info.name.ends_with(ending)) change(tensor);
}

void MlxRewriter::rename(std::string_view from, std::string_view to) {
  each(from, [&](MlxTensor& tensor) {
    std::string& name = tensor.info.name;
    name.replace(name.size() - from.size(), from.size(), to);
  });
}

void MlxRewriter::join(MlxForm form, std::string_view a, std::string_view b, std::string_view to) {
  std::vector<std::string> used;
  each(a, [&](MlxTensor& first) {
    const std::string stem = first.info.name.substr(0, first.info.name.size() - a.size());
    const std::string partner = stem + std::string(b);
    const auto second =
        std::find_if(tensors_.begin(), tensors_.end(),
                     [&](const MlxTensor& tensor) { return tensor.info.name == partner; });
    if (second == tensors_.end())
      return fail(fmt::format("tensor \"{}\" is there without \"{}\"", first.info.name, partner));
    const auto shape = joined_shape(form, first.info.shape, second->info.shape);
    if (!shape)
      return fail(fmt::format("tensors \"{}\" {} and \"{}\" {} do not fit together",
                              first.info.name, first.info.shape, partner, second->info.shape));
    used.push_back(partner);
    first.info = {stem + std::string(to), *shape, DType::kF32, Encoding::kPlain};
    first.sources.push_back(second->sources[0]);
    first.form = form;
  });
  std::erase_if(tensors_, [&](const MlxTensor& tensor) {
    return std::find(used.begin(), used.end(), tensor.info.name) != used.end();
  });
}

void MlxRewriter::fail(std::string message) {
  if (failure_.empty()) failure_ = std::move(message);
}

Result<std::vector<MlxTensor>> MlxRewriter::take() {
  if (!failure_.empty()) return error(ErrorCode::kCorrupt, "{}", failure_);
  std::sort(tensors_.begin(), tensors_.end(),
            [](const MlxTensor& a, const MlxTensor& b) { return a.info.name < b.info.name; });
  for (size_t i = 1; i < tensors_.size(); ++i)
    if (tensors_[i].info.name == tensors_[i - 1].info.name)
      return error(ErrorCode::kCorrupt, "two tensors make \"{}\"", tensors_[i].info.name);
  return std::move(tensors_);
}

Result<std::unique_ptr<TensorSource>> make_mlx_source(std::unique_ptr<TensorSource> stored,
                                                      const json& config,
                                                      const std::string& where) {
  const std::vector<const json*> levels = config_levels(config);
  const auto known = std::find_if(levels.rbegin(), levels.rend(),
                                  [](const json* level) { return family_of(*level) != nullptr; });
  const json& text = known != levels.rend() ? **known : config;
  const MlxFamily* family = family_of(text);
  if (family == nullptr) {
    const auto type = text.find("model_type");
    return error(ErrorCode::kUnsupported,
                 "{}: this folder was written by mlx-lm, and what it does to tensors of model_type "
                 "{} is not known; use the original checkpoint",
                 where, type == text.end() ? "(none)" : type->dump(-1, ' ', true).substr(0, 80));
  }
  MlxRewriter rewriter(*stored, text);
  for (const char* ending : {"conv1d.weight", "conv_1d.weight", "conv.weight"})
    rewriter.each(ending, undo_convolution);
  if (family->undo != nullptr) family->undo(rewriter);
  auto tensors = rewriter.take();
  if (!tensors.ok()) return with_context(std::move(tensors).error(), where);
  return std::unique_ptr<TensorSource>(
      std::make_unique<MlxSource>(std::move(stored), std::move(*tensors)));
}

}  // namespace continuo::checkpoint

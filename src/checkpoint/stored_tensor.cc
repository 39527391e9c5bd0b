#include "checkpoint/stored_tensor.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "checkpoint/mxfp4.h"
#include "checkpoint/quantization_config.h"

namespace continuo::checkpoint {
namespace {

using Entry = SafetensorsSet::Entry;

const Entry* find(const SafetensorsSet& set, std::string_view name) {
  const auto place = std::lower_bound(
      set.tensors.begin(), set.tensors.end(), name,
      [](const Entry& entry, std::string_view wanted) { return entry.tensor->name < wanted; });
  return place != set.tensors.end() && place->tensor->name == name ? &*place : nullptr;
}

// `text` without `ending`, or nullopt where it ends otherwise.
std::optional<std::string> without(std::string_view text, std::string_view ending) {
  if (!text.ends_with(ending)) return std::nullopt;
  return std::string(text.substr(0, text.size() - ending.size()));
}

Error misshapen(const Entry& entry, std::string_view wanted) {
  return error(ErrorCode::kCorrupt, "{}: tensor \"{}\": wanted {}, got {} {}",
               entry.file->file.path(), entry.tensor->name, wanted, entry.tensor->dtype_name,
               entry.tensor->shape);
}

Plane plane(const Entry& entry) {
  return {entry.file,
          entry.tensor->offset,
          {entry.tensor->dtype.value_or(DType::kU8), entry.tensor->shape,
           entry.file->file.bytes().data() + entry.tensor->offset}};
}

StoredTensor plain_tensor(const Entry& entry) {
  StoredTensor out;
  out.info = {entry.tensor->name, entry.tensor->shape, entry.tensor->dtype.value_or(DType::kU8),
              Encoding::kPlain};
  if (!entry.tensor->dtype) out.unreadable = entry.tensor->dtype_name;
  out.blocks = plane(entry);
  return out;
}

struct AffineParts {
  const Entry *weight, *scales, *biases;
};

Result<StoredTensor> affine_tensor(const AffineParts& parts, const std::string& module,
                                   const nlohmann::json& config) {
  const SafetensorsTensor& packed = *parts.weight->tensor;
  const SafetensorsTensor& scales = *parts.scales->tensor;
  Result<AffineSettings> settings = affine_settings(config, module);
  if (!settings.ok())
    return with_context(
        std::move(settings).error(),
        fmt::format("{}: tensor \"{}\"", parts.weight->file->file.path(), packed.name));
  const bool float_scales =
      scales.dtype == DType::kF32 || scales.dtype == DType::kF16 || scales.dtype == DType::kBF16;
  if (!float_scales || scales.shape.rank() < 1)
    return misshapen(*parts.scales, "F32, F16 or BF16 scales");
  if (parts.biases->tensor->dtype != scales.dtype || parts.biases->tensor->shape != scales.shape)
    return misshapen(*parts.biases,
                     fmt::format("biases like the scales, {} {}", scales.dtype_name, scales.shape));

  // The columns follow from the scales; the packed words must be as many as those columns take.
  Shape shape = scales.shape;
  int64_t& columns = shape[shape.rank() - 1];
  if (columns > (int64_t{1} << 40)) return misshapen(*parts.scales, "fewer groups");
  columns *= settings->group_size;
  Shape words = shape;
  words[words.rank() - 1] = columns * settings->bits / 32;
  if (packed.shape != words)
    return misshapen(*parts.weight,
                     fmt::format("U32 {} ({} bits, groups of {}, scales {})", words, settings->bits,
                                 settings->group_size, scales.shape));
  StoredTensor out;
  out.info = {packed.name, std::move(shape), DType::kF32, Encoding::kAffine};
  out.bits = settings->bits;
  out.group_size = settings->group_size;
  out.blocks = plane(*parts.weight);
  out.scales = plane(*parts.scales);
  out.biases = plane(*parts.biases);
  return out;
}

Result<StoredTensor> mxfp4_tensor(const Entry& blocks, const Entry& scales,
                                  const std::string& name) {
  const Shape& shape = blocks.tensor->shape;  // [experts, out, groups, 16]
  if (shape.rank() != 4 || shape[3] != static_cast<int64_t>(kMxfp4BlockBytes))
    return misshapen(blocks, "U8 blocks [experts, out, groups, 16]");
  const Shape wanted{shape[0], shape[1], shape[2]};
  if (scales.tensor->shape != wanted)
    return misshapen(scales, fmt::format("U8 {}, a scale for each block", wanted));
  StoredTensor out;
  out.info = {name, Shape{shape[0], shape[2] * static_cast<int64_t>(kMxfp4BlockValues), shape[1]},
              DType::kF32, Encoding::kMXFP4};
  out.bits = 4;
  out.group_size = static_cast<int>(kMxfp4BlockValues);
  out.blocks = plane(blocks);
  out.scales = plane(scales);
  return out;
}

// The same blocks as mlx-lm has them, in words: weight U32 [experts, out, in / 8].
Result<StoredTensor> mlx_mxfp4_tensor(const Entry& weight, const Entry& scales) {
  const Shape& groups = scales.tensor->shape;
  if (scales.tensor->dtype != DType::kU8 || groups.rank() != 3)
    return error(ErrorCode::kUnsupported,
                 "{}: tensor \"{}\": mode \"mxfp4\" can be read for stacked experts with U8 scales "
                 "[experts, out, in / 32], got scales {} {}",
                 weight.file->file.path(), weight.tensor->name, scales.tensor->dtype_name, groups);
  constexpr auto kValues = static_cast<int64_t>(kMxfp4BlockValues);
  if (groups[2] > (int64_t{1} << 40)) return misshapen(scales, "fewer groups");
  const Shape words{groups[0], groups[1], groups[2] * (kValues / 8)};
  if (weight.tensor->shape != words) return misshapen(weight, fmt::format("U32 {}", words));
  StoredTensor out;
  out.info = {weight.tensor->name, Shape{groups[0], groups[2] * kValues, groups[1]}, DType::kF32,
              Encoding::kMXFP4};
  out.bits = 4;
  out.group_size = static_cast<int>(kValues);
  out.blocks = plane(weight);
  out.blocks.view.dtype = DType::kU8;
  out.blocks.view.shape =
      Shape{groups[0], groups[1], groups[2], static_cast<int64_t>(kMxfp4BlockBytes)};
  out.scales = plane(scales);
  return out;
}

// Expert `index` of a plane whose first dimension counts experts.
Plane expert_plane(const Plane& whole, int64_t index) {
  if (whole.file == nullptr) return whole;
  Plane slice = whole;
  const std::vector<int64_t>& dims = whole.view.shape.dims();
  slice.view.shape = Shape(std::vector<int64_t>(dims.begin() + 1, dims.end()));
  const size_t skipped = static_cast<size_t>(index) * slice.view.bytes();
  slice.offset += skipped;
  slice.view.data += skipped;
  return slice;
}

// The experts of a stack `P.switch_mlp.N_proj.weight`, under the names Hugging Face gives them.
std::vector<StoredTensor> experts_of(const StoredTensor& stack) {
  constexpr std::string_view kMarker = ".switch_mlp.";
  const std::string& name = stack.info.name;
  const size_t at = name.find(kMarker);
  if (at == std::string::npos || !name.ends_with(".weight") || stack.info.shape.rank() != 3 ||
      !stack.unreadable.empty())
    return {};
  const std::string_view parent = std::string_view(name).substr(0, at);
  std::string_view leaf = std::string_view(name).substr(at + kMarker.size());
  if (leaf == "fc1.weight") leaf = "up_proj.weight";  // Nemotron-H, which has no gate
  if (leaf == "fc2.weight") leaf = "down_proj.weight";
  if (parent.ends_with("block_sparse_moe")) {
    if (leaf == "gate_proj.weight") leaf = "w1.weight";
    if (leaf == "down_proj.weight") leaf = "w2.weight";
    if (leaf == "up_proj.weight") leaf = "w3.weight";
  }
  // More experts than any model has would only be a small file asking for much memory.
  constexpr int64_t kMaxExperts = 4096;
  if (stack.info.shape[0] > kMaxExperts || stack.info.shape.elements() == 0) return {};
  std::vector<StoredTensor> out;
  for (int64_t e = 0; e < stack.info.shape[0]; ++e) {
    StoredTensor expert = stack;
    expert.info.name = fmt::format("{}.experts.{}.{}", parent, e, leaf);
    expert.info.shape = Shape{stack.info.shape[1], stack.info.shape[2]};
    expert.blocks = expert_plane(stack.blocks, e);
    expert.scales = expert_plane(stack.scales, e);
    expert.biases = expert_plane(stack.biases, e);
    out.push_back(std::move(expert));
  }
  return out;
}

// The parts of an affine or MXFP4 tensor are not tensors of their own.
struct Combined {
  std::vector<StoredTensor> tensors;
  std::set<std::string_view> parts;
};

Status combine_affine(const SafetensorsSet& set, const Entry& entry, const nlohmann::json& config,
                      Combined& out) {
  const auto module = without(entry.tensor->name, ".weight");
  if (!module || entry.tensor->dtype != DType::kU32) return {};
  const Entry* scales = find(set, *module + ".scales");
  if (scales == nullptr) return {};
  const Entry* biases = find(set, *module + ".biases");
  if (biases == nullptr && is_mxfp4(config, *module)) {
    CONTINUO_TRY(StoredTensor tensor, mlx_mxfp4_tensor(entry, *scales));
    out.tensors.push_back(std::move(tensor));
    for (const Entry* part : {&entry, scales}) out.parts.insert(part->tensor->name);
    return {};
  }
  if (biases == nullptr) {
    // Without biases it may be another of mlx's modes: let the settings say so first.
    const auto settings = affine_settings(config, *module);
    return error(settings.ok() ? ErrorCode::kCorrupt : settings.error().code,
                 "{}: tensor \"{}\": {}", entry.file->file.path(), entry.tensor->name,
                 settings.ok() ? fmt::format("wanted {}.biases beside its scales", *module)
                               : settings.error().message);
  }
  CONTINUO_TRY(StoredTensor tensor, affine_tensor({&entry, scales, biases}, *module, config));
  out.tensors.push_back(std::move(tensor));
  for (const Entry* part : {&entry, scales, biases}) out.parts.insert(part->tensor->name);
  return {};
}

Status combine_mxfp4(const SafetensorsSet& set, const Entry& entry, Combined& out) {
  const auto name = without(entry.tensor->name, "_blocks");
  if (!name || entry.tensor->dtype != DType::kU8) return {};
  const Entry* scales = find(set, *name + "_scales");
  if (scales == nullptr || scales->tensor->dtype != DType::kU8) return {};
  CONTINUO_TRY(StoredTensor tensor, mxfp4_tensor(entry, *scales, *name));
  out.tensors.push_back(std::move(tensor));
  for (const Entry* part : {&entry, scales}) out.parts.insert(part->tensor->name);
  return {};
}

}  // namespace

Result<std::vector<StoredTensor>> logical_tensors(const SafetensorsSet& set,
                                                  const nlohmann::json& config) {
  Combined combined;
  for (const Entry& entry : set.tensors) {
    CONTINUO_RETURN_IF_ERROR(combine_affine(set, entry, config, combined));
    CONTINUO_RETURN_IF_ERROR(combine_mxfp4(set, entry, combined));
  }
  std::vector<StoredTensor> all = std::move(combined.tensors);
  for (const Entry& entry : set.tensors)
    if (!combined.parts.contains(entry.tensor->name)) all.push_back(plain_tensor(entry));

  std::vector<StoredTensor> experts;
  for (const StoredTensor& tensor : all)
    std::ranges::move(experts_of(tensor), std::back_inserter(experts));
  std::ranges::move(experts, std::back_inserter(all));

  std::sort(all.begin(), all.end(),
            [](const StoredTensor& a, const StoredTensor& b) { return a.info.name < b.info.name; });
  for (size_t i = 1; i < all.size(); ++i)
    if (all[i].info.name == all[i - 1].info.name)
      return error(ErrorCode::kCorrupt, "{}: tensor \"{}\" is stored in two forms",
                   all[i].blocks.file->file.path(), all[i].info.name);
  return all;
}

}  // namespace continuo::checkpoint

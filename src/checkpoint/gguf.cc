#include "checkpoint/gguf.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/mapped_file.h"

namespace continuo::checkpoint {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr int64_t kMaxParts = 1000;

// The files of a checkpoint, mapped, and their merged table of tensors.
struct Opened {
  std::vector<MappedFile> files;
  GgufFile table;

  std::vector<std::span<const std::byte>> parts() const {
    std::vector<std::span<const std::byte>> bytes;
    for (const MappedFile& file : files) bytes.push_back(file.bytes());
    return bytes;
  }
};

Result<Opened> open_one(const std::string& path) {
  Opened opened;
  CONTINUO_TRY(MappedFile file, MappedFile::open(path));
  CONTINUO_TRY(opened.table, parse_gguf(file.bytes(), path));
  opened.files.push_back(std::move(file));
  return opened;
}

// "dir/name-00002-of-00003.gguf" with the part's number replaced.
Result<std::string> part_path(const std::string& path, int64_t part, int64_t count) {
  const std::string ending = fmt::format("-of-{:05}.gguf", count);
  constexpr size_t kNumber = 6;  // "-00001"
  if (!path.ends_with(ending) || path.size() < ending.size() + kNumber) {
    return error(ErrorCode::kInvalidArgument,
                 "{}: is part of a GGUF split into {} files, which must be named "
                 "NAME-00001{}",
                 path, count, ending);
  }
  return path.substr(0, path.size() - ending.size() - kNumber) +
         fmt::format("-{:05}{}", part + 1, ending);
}

Status append(Opened& opened, const std::string& path) {
  CONTINUO_TRY(Opened next, open_one(path));
  const size_t part = opened.files.size();
  for (GgufTensor& tensor : next.table.tensors) {
    tensor.part = part;
    opened.table.tensors.push_back(std::move(tensor));
  }
  opened.files.push_back(std::move(next.files.front()));
  return ok_status();
}

Status check_unique(const GgufFile& table, const std::string& path) {
  std::vector<std::string_view> names;
  for (const GgufTensor& tensor : table.tensors) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice == names.end()) return ok_status();
  return error(ErrorCode::kCorrupt, "{}: tensor '{}' is in two parts", path, *twice);
}

// Metadata is that of the first part.
Result<Opened> open_parts(const std::string& path) {
  CONTINUO_TRY(Opened first, open_one(path));
  const json* count = first.table.find("split.count");
  if (count == nullptr || !count->is_number_integer() || *count <= 1) return first;
  if (*count > kMaxParts) {
    return error(ErrorCode::kCorrupt, "{}: claims to be split into {} files", path, count->dump());
  }
  const auto parts = count->get<int64_t>();
  CONTINUO_TRY(const std::string start, part_path(path, 0, parts));
  CONTINUO_TRY(Opened opened, open_one(start));
  for (int64_t part = 1; part < parts; ++part) {
    CONTINUO_TRY(const std::string next, part_path(path, part, parts));
    CONTINUO_RETURN_IF_ERROR(append(opened, next));
  }
  CONTINUO_RETURN_IF_ERROR(check_unique(opened.table, path));
  return opened;
}

class GgufSource final : public TensorSource {
 public:
  GgufSource(Opened opened, std::vector<GgufMapping> mappings)
      : opened_(std::move(opened)), parts_(opened_.parts()), mappings_(std::move(mappings)) {
    for (const GgufMapping& mapping : mappings_) infos_.push_back(mapping.info);
  }

  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  Status read_f32(const TensorInfo& tensor, std::span<float> out) const override;
  std::optional<HostView> plain(const TensorInfo& tensor) const override;
  std::optional<QuantizedTensor> quantized(const TensorInfo& tensor) const override;
  void release(const TensorInfo& tensor) const override;
  std::string location(const TensorInfo& tensor) const override;

 private:
  const GgufMapping* mapping(const TensorInfo& tensor) const;
  const std::byte* data(const GgufPiece& piece) const {
    const GgufRange range = byte_range(opened_.table, piece);
    return parts_[range.part].data() + range.offset;
  }

  Opened opened_;
  std::vector<std::span<const std::byte>> parts_;
  std::vector<GgufMapping> mappings_;  // beside infos_
  std::vector<TensorInfo> infos_;
};

const GgufMapping* GgufSource::mapping(const TensorInfo& tensor) const {
  const TensorInfo* found = find(tensor.name);
  return found == nullptr ? nullptr : &mappings_[static_cast<size_t>(found - infos_.data())];
}

Status GgufSource::read_f32(const TensorInfo& tensor, std::span<float> out) const {
  const GgufMapping* found = mapping(tensor);
  if (found == nullptr) {
    return error(ErrorCode::kNotFound, "{}: has no tensor '{}'", opened_.files.front().path(),
                 tensor.name);
  }
  if (out.size() != static_cast<size_t>(found->info.shape.elements())) {
    return error(ErrorCode::kInvalidArgument, "tensor '{}' of shape {} does not go into {} floats",
                 tensor.name, found->info.shape, out.size());
  }
  read_mapping(opened_.table, *found, parts_, out);
  return ok_status();
}

std::optional<HostView> GgufSource::plain(const TensorInfo& tensor) const {
  const GgufMapping* found = mapping(tensor);
  if (found == nullptr || !found->in_place() || found->info.encoding != Encoding::kPlain) {
    return std::nullopt;
  }
  return HostView{found->info.dtype, found->info.shape, data(found->pieces[0])};
}

std::optional<QuantizedTensor> GgufSource::quantized(const TensorInfo& tensor) const {
  const GgufMapping* found = mapping(tensor);
  if (found == nullptr || found->info.encoding == Encoding::kPlain) return std::nullopt;
  const std::optional<RowOrder> rows = found->row_order();
  if (!rows) return std::nullopt;
  const GgufPiece& piece = found->pieces[0];
  const GgmlTypeInfo& type = info(opened_.table.tensors[piece.source].type);
  QuantizedTensor result;
  result.encoding = type.encoding;
  result.shape = found->info.shape;
  result.group_size = static_cast<int>(type.block);
  result.rows = *rows;
  const auto bytes = static_cast<int64_t>(byte_range(opened_.table, piece).bytes);
  result.blocks = HostView{DType::kU8, Shape{bytes / type.bytes, type.bytes}, data(piece)};
  return result;
}

void GgufSource::release(const TensorInfo& tensor) const {
  const GgufMapping* found = mapping(tensor);
  if (found == nullptr) return;
  for (const GgufPiece& piece : found->pieces) {
    const GgufRange range = byte_range(opened_.table, piece);
    opened_.files[range.part].release(range.offset, range.bytes);
  }
}

std::string GgufSource::location(const TensorInfo& tensor) const {
  const GgufMapping* found = mapping(tensor);
  if (found == nullptr) return opened_.files.front().path();
  const GgufTensor& source = opened_.table.tensors[found->pieces[0].source];
  return fmt::format("{} ('{}')", opened_.files[source.part].path(), source.name);
}

// The metadata under "tokenizer.", or null where there is none.
json tokenizer_metadata(const GgufFile& file) {
  json tokenizer;
  for (const auto& [key, value] : file.metadata.items()) {
    if (key.starts_with("tokenizer.")) tokenizer[key] = value;
  }
  return tokenizer;
}

std::string chat_template(const GgufFile& file) {
  const json* value = file.find("tokenizer.chat_template");
  return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

}  // namespace

Result<Checkpoint> open_gguf(const std::string& path, const OpenOptions& options) {
  CONTINUO_TRY(Opened opened, open_parts(path));
  Result<GgufModel> model = map_gguf(opened.table, opened.parts());
  if (!model.ok()) return with_context(std::move(model).error(), path);
  Checkpoint checkpoint;
  checkpoint.path = path;
  checkpoint.format = "gguf";
  checkpoint.config = std::move(model->config);
  if (!options.config_file.empty()) {
    CONTINUO_TRY(const std::string text, read_text_file(options.config_file));
    CONTINUO_TRY(checkpoint.config, parse_json(text, options.config_file));
  }
  checkpoint.gguf_tokenizer = tokenizer_metadata(opened.table);
  checkpoint.chat_template = chat_template(opened.table);
  if (options.weights) {
    checkpoint.tensors = std::make_unique<GgufSource>(std::move(opened), std::move(model->tensors));
  }
  return checkpoint;
}

}  // namespace continuo::checkpoint

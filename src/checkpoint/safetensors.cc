#include "checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "checkpoint/json.h"

namespace continuo::checkpoint {
namespace {

using nlohmann::json;

constexpr size_t kPrefixBytes = 8;
constexpr size_t kMaxHeaderBytes = 100'000'000;  // as the reference implementation
constexpr size_t kMaxNameBytes = 1024;
constexpr size_t kMaxRank = 8;
constexpr int kMaxDepth = 4;

struct FormatType {
  std::string_view name;
  uint64_t bits;
  std::optional<DType> dtype;
};

constexpr std::array<FormatType, 22> kTypes{{{"BOOL", 8, DType::kPred},
                                             {"U8", 8, DType::kU8},
                                             {"I8", 8, DType::kI8},
                                             {"U16", 16, DType::kU16},
                                             {"I16", 16, DType::kI16},
                                             {"U32", 32, DType::kU32},
                                             {"I32", 32, DType::kI32},
                                             {"U64", 64, DType::kU64},
                                             {"I64", 64, DType::kI64},
                                             {"F16", 16, DType::kF16},
                                             {"BF16", 16, DType::kBF16},
                                             {"F32", 32, DType::kF32},
                                             {"F64", 64, DType::kF64},
                                             {"C64", 64, std::nullopt},
                                             {"F8_E4M3", 8, std::nullopt},
                                             {"F8_E5M2", 8, std::nullopt},
                                             {"F8_E8M0", 8, std::nullopt},
                                             {"F8_E4M3FNUZ", 8, std::nullopt},
                                             {"F8_E5M2FNUZ", 8, std::nullopt},
                                             {"F6_E2M3", 6, std::nullopt},
                                             {"F6_E3M2", 6, std::nullopt},
                                             {"F4", 4, std::nullopt}}};

template <typename... Args>
Error corrupt(const std::string& where, fmt::format_string<Args...> format, Args&&... args) {
  return error(ErrorCode::kCorrupt, "{}: {}", where,
               fmt::format(format, std::forward<Args>(args)...));
}

// A value of the header, shortened: it may be anything.
std::string shown(const json& value) {
  constexpr size_t kLongest = 80;
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  return text.size() > kLongest ? text.substr(0, kLongest) + "..." : text;
}

// The header's JSON text, which the prefix delimits.
Result<std::string_view> header_text(std::span<const std::byte> file, const std::string& where) {
  if (file.size() < kPrefixBytes)
    return corrupt(where, "wanted a safetensors header of at least 8 bytes, got a file of {}",
                   file.size());
  uint64_t length = 0;
  for (size_t i = 0; i < kPrefixBytes; ++i) length |= std::to_integer<uint64_t>(file[i]) << (8 * i);
  const size_t rest = file.size() - kPrefixBytes;
  if (length > kMaxHeaderBytes)
    return corrupt(where, "wanted a header of at most {} bytes, got a length of {}",
                   kMaxHeaderBytes, length);
  if (length > rest)
    return corrupt(where, "the header claims {} bytes, but only {} follow (a truncated file?)",
                   length, rest);
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kPrefixBytes, length);
  if (text.empty() || text.front() != '{')
    return corrupt(where, "wanted a header that begins with '{{', got {} bytes of something else",
                   length);
  return text;
}

Result<Shape> parse_shape(const json& entry, const std::string& where) {
  const auto value = entry.find("shape");
  if (value == entry.end() || !value->is_array())
    return corrupt(where, "wanted an array \"shape\", got {}",
                   value == entry.end() ? "none" : shown(*value));
  if (value->size() > kMaxRank)
    return corrupt(where, "wanted at most {} dimensions, got {}", kMaxRank, value->size());
  std::vector<int64_t> dims;
  uint64_t product = 1;  // without the zeros: a partial product must not overflow either
  for (const json& dim : *value) {
    if (!dim.is_number_unsigned())
      return corrupt(where, "wanted dimensions that are whole numbers >= 0, got shape {}",
                     shown(*value));
    const uint64_t size = dim.get<uint64_t>();
    constexpr uint64_t kLimit = uint64_t{1} << 56;  // times 64 bits it still fits
    if (size > kLimit || (size != 0 && product > kLimit / size))
      return corrupt(where, "the number of elements overflows: shape {}", shown(*value));
    if (size != 0) product *= size;
    dims.push_back(static_cast<int64_t>(size));
  }
  return Shape(std::move(dims));
}

struct Range {
  uint64_t begin, end;
};

Result<Range> parse_offsets(const json& entry, size_t data_bytes, const std::string& where) {
  const auto value = entry.find("data_offsets");
  const bool pair = value != entry.end() && value->is_array() && value->size() == 2 &&
                    (*value)[0].is_number_unsigned() && (*value)[1].is_number_unsigned();
  if (!pair)
    return corrupt(where, "wanted \"data_offsets\": [begin, end], got {}",
                   value == entry.end() ? "none" : shown(*value));
  const Range range{(*value)[0].get<uint64_t>(), (*value)[1].get<uint64_t>()};
  if (range.begin > range.end)
    return corrupt(where, "wanted data_offsets in order, got [{}, {}]", range.begin, range.end);
  if (range.end > data_bytes)
    return corrupt(where, "its bytes [{}, {}) reach past the {} bytes of data (a truncated file?)",
                   range.begin, range.end, data_bytes);
  return range;
}

Result<SafetensorsTensor> parse_tensor(const std::string& name, const json& entry,
                                       size_t data_start, size_t data_bytes,
                                       const std::string& file) {
  if (name.empty() || name.size() > kMaxNameBytes)
    return corrupt(file, "wanted tensor names of 1 to {} bytes, got {}", kMaxNameBytes,
                   name.size());
  const std::string where = fmt::format("{}: tensor \"{}\"", file, name);
  if (!entry.is_object()) return corrupt(where, "wanted an object, got {}", shown(entry));
  const auto spelled = entry.find("dtype");
  if (spelled == entry.end() || !spelled->is_string())
    return corrupt(where, "wanted a string \"dtype\", got {}",
                   spelled == entry.end() ? "none" : shown(*spelled));
  const auto* type = std::find_if(kTypes.begin(), kTypes.end(), [&](const FormatType& candidate) {
    return candidate.name == spelled->get_ref<const std::string&>();
  });
  if (type == kTypes.end()) return corrupt(where, "unknown dtype {}", shown(*spelled));
  CONTINUO_TRY(Shape shape, parse_shape(entry, where));
  CONTINUO_TRY(const Range range, parse_offsets(entry, data_bytes, where));

  const uint64_t bits = static_cast<uint64_t>(shape.elements()) * type->bits;
  if (bits % 8 != 0 || bits / 8 != range.end - range.begin)
    return corrupt(where, "{} {} takes {} bytes, but data_offsets [{}, {}] hold {}", type->name,
                   shape, bits / 8, range.begin, range.end, range.end - range.begin);
  return SafetensorsTensor{name,
                           type->name,
                           type->dtype,
                           std::move(shape),
                           data_start + range.begin,
                           range.end - range.begin};
}

Result<std::string> parse_metadata(const json& metadata, const std::string& where) {
  if (!metadata.is_object())
    return corrupt(where, "wanted __metadata__ to be an object, got {}", shown(metadata));
  for (const auto& [key, value] : metadata.items())
    if (!value.is_string())
      return corrupt(where, "wanted strings in __metadata__, got {}", shown(value));
  return metadata.value("format", std::string());
}

// The tensors, in the order of their bytes, must fill the data exactly.
Status check_coverage(const std::vector<SafetensorsTensor>& tensors, size_t data_start,
                      size_t data_bytes, const std::string& where) {
  size_t reached = data_start;
  for (const SafetensorsTensor& tensor : tensors) {
    if (tensor.offset < reached)
      return corrupt(where, "tensor \"{}\": its bytes from {} overlap those before it, up to {}",
                     tensor.name, tensor.offset - data_start, reached - data_start);
    if (tensor.offset > reached)
      return corrupt(where, "tensor \"{}\": its bytes begin at {}, leaving a hole from {}",
                     tensor.name, tensor.offset - data_start, reached - data_start);
    reached = tensor.offset + tensor.bytes;
  }
  if (reached != data_start + data_bytes)
    return corrupt(where, "{} bytes of data follow the last tensor's end at {}",
                   data_start + data_bytes - reached, reached - data_start);
  return {};
}

}  // namespace

Result<SafetensorsHeader> parse_safetensors(std::span<const std::byte> file,
                                            const std::string& where) {
  CONTINUO_TRY(const std::string_view text, header_text(file, where));
  CONTINUO_TRY(const json root,
               parse_json(text, where + ": header", {.max_depth = kMaxDepth, .unique_keys = true}));
  if (!root.is_object()) return corrupt(where, "wanted a header object, got {}", shown(root));
  const size_t data_start = kPrefixBytes + text.size();
  const size_t data_bytes = file.size() - data_start;

  SafetensorsHeader header;
  for (const auto& [name, entry] : root.items()) {
    if (name == "__metadata__") {
      CONTINUO_TRY(header.format, parse_metadata(entry, where));
      continue;
    }
    CONTINUO_TRY(SafetensorsTensor tensor,
                 parse_tensor(name, entry, data_start, data_bytes, where));
    header.tensors.push_back(std::move(tensor));
  }
  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const SafetensorsTensor& a, const SafetensorsTensor& b) {
              return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes);
            });
  CONTINUO_RETURN_IF_ERROR(check_coverage(header.tensors, data_start, data_bytes, where));
  return header;
}

Result<SafetensorsFile> open_safetensors(const std::string& path) {
  CONTINUO_TRY(MappedFile file, MappedFile::open(path));
  CONTINUO_TRY(SafetensorsHeader header, parse_safetensors(file.bytes(), path));
  return SafetensorsFile{std::move(file), std::move(header)};
}

}  // namespace continuo::checkpoint

#include "checkpoint/gguf_file.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <set>

namespace continuo::checkpoint {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is read in place");

using nlohmann::json;

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr uint64_t kMaxKeyBytes = 65535;
constexpr uint64_t kMaxTensorNameBytes = 1024;
// A vocabulary with its merges has under two million values; JSON takes 16 bytes for each.
constexpr uint64_t kMaxMetadataValues = uint64_t{1} << 24;
constexpr int kMaxArrayDepth = 4;
constexpr uint32_t kMaxDims = 4;
constexpr uint64_t kMaxAlignment = uint64_t{1} << 20;
constexpr uint64_t kSmallestKeyValue = 8 + 4 + 1;
constexpr uint64_t kSmallestTensorInfo = 8 + 4 + 8 + 4 + 8;

enum ValueType : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64,
};

// The fewest bytes that a value of the type can take; 0 for an unknown type.
uint64_t smallest(uint32_t type) {
  switch (type) {
    case kUint8:
    case kInt8:
    case kBool:
      return 1;
    case kUint16:
    case kInt16:
      return 2;
    case kUint32:
    case kInt32:
    case kFloat32:
      return 4;
    case kUint64:
    case kInt64:
    case kFloat64:
    case kString:
      return 8;
    case kArray:
      return 12;
    default:
      return 0;
  }
}

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, const std::string& where)
      : bytes_(bytes), where_(where) {}

  Result<GgufFile> parse() {
    CONTINUO_RETURN_IF_ERROR(read_header());
    for (uint64_t i = 0; i < key_count_; ++i) CONTINUO_RETURN_IF_ERROR(read_key_value(i));
    CONTINUO_RETURN_IF_ERROR(read_alignment());
    file_.tensors.reserve(tensor_count_);
    for (uint64_t i = 0; i < tensor_count_; ++i) CONTINUO_RETURN_IF_ERROR(read_tensor(i));
    CONTINUO_RETURN_IF_ERROR(place_tensors());
    return std::move(file_);
  }

 private:
  template <typename... Args>
  Error corrupt(fmt::format_string<Args...> format, Args&&... args) const {
    return error(ErrorCode::kCorrupt, "{}: {}", where_,
                 fmt::format(format, std::forward<Args>(args)...));
  }

  uint64_t left() const { return bytes_.size() - position_; }

  template <typename T>
  Status read(T& value, const char* what) {
    if (left() < sizeof(T)) {
      return corrupt("truncated at byte {}: wanted {} bytes of {}, {} left", position_, sizeof(T),
                     what, left());
    }
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return ok_status();
  }

  Status read_string(std::string& value, uint64_t limit, const char* what) {
    uint64_t size = 0;
    CONTINUO_RETURN_IF_ERROR(read(size, what));
    if (size > left() || size > limit) {
      return corrupt("{} at byte {} claims {} bytes; {} are left and {} are allowed", what,
                     position_, size, left(), limit);
    }
    value.assign(reinterpret_cast<const char*>(bytes_.data()) + position_, size);
    position_ += size;
    return ok_status();
  }

  Status read_header();
  Status read_key_value(uint64_t index);
  Result<json> read_value(uint32_t type, int depth, const std::string& key);
  Result<json> read_array(int depth, const std::string& key);
  template <typename T>
  Result<json> read_number(const std::string& key);
  Status read_alignment();
  Status read_tensor(uint64_t index);
  Status read_shape(GgufTensor& tensor);
  Status read_type(GgufTensor& tensor);
  Status place_tensors();

  std::span<const std::byte> bytes_;
  const std::string& where_;
  uint64_t position_ = 0, key_count_ = 0, tensor_count_ = 0, value_count_ = 0;
  std::set<std::string, std::less<>> names_;
  GgufFile file_;
};

Status Parser::read_header() {
  uint32_t magic = 0;
  CONTINUO_RETURN_IF_ERROR(read(magic, "the magic number"));
  if (magic != kMagic) return corrupt("is not a GGUF file (magic number {:#010x})", magic);
  CONTINUO_RETURN_IF_ERROR(read(file_.version, "the version"));
  if ((file_.version & 0xffff) == 0) {
    return error(ErrorCode::kUnsupported, "{}: is a big-endian GGUF file; convert it", where_);
  }
  if (file_.version != 2 && file_.version != 3) {
    return error(ErrorCode::kUnsupported, "{}: GGUF version {}; versions 2 and 3 can be read",
                 where_, file_.version);
  }
  CONTINUO_RETURN_IF_ERROR(read(tensor_count_, "the tensor count"));
  CONTINUO_RETURN_IF_ERROR(read(key_count_, "the metadata count"));
  if (tensor_count_ > left() / kSmallestTensorInfo || key_count_ > left() / kSmallestKeyValue) {
    return corrupt("claims {} tensors and {} metadata keys in {} bytes", tensor_count_, key_count_,
                   bytes_.size());
  }
  file_.metadata = json::object();
  return ok_status();
}

Status Parser::read_key_value(uint64_t index) {
  std::string key;
  CONTINUO_RETURN_IF_ERROR(read_string(key, kMaxKeyBytes, "a metadata key"));
  if (key.empty()) return corrupt("metadata key {} is empty", index);
  if (file_.metadata.contains(key)) return corrupt("metadata key '{}' appears twice", key);
  uint32_t type = 0;
  CONTINUO_RETURN_IF_ERROR(read(type, "a metadata type"));
  CONTINUO_TRY(json value, read_value(type, 0, key));
  file_.metadata.emplace(std::move(key), std::move(value));
  return ok_status();
}

template <typename T>
Result<json> Parser::read_number(const std::string& key) {
  T value{};
  CONTINUO_RETURN_IF_ERROR(read(value, key.c_str()));
  return json(value);
}

Result<json> Parser::read_value(uint32_t type, int depth, const std::string& key) {
  if (++value_count_ > kMaxMetadataValues) {
    return corrupt("metadata holds more than {} values (at '{}')", kMaxMetadataValues, key);
  }
  switch (type) {
    case kUint8:
      return read_number<uint8_t>(key);
    case kInt8:
      return read_number<int8_t>(key);
    case kUint16:
      return read_number<uint16_t>(key);
    case kInt16:
      return read_number<int16_t>(key);
    case kUint32:
      return read_number<uint32_t>(key);
    case kInt32:
      return read_number<int32_t>(key);
    case kFloat32:
      return read_number<float>(key);
    case kUint64:
      return read_number<uint64_t>(key);
    case kInt64:
      return read_number<int64_t>(key);
    case kFloat64:
      return read_number<double>(key);
    case kBool: {
      uint8_t value = 0;
      CONTINUO_RETURN_IF_ERROR(read(value, key.c_str()));
      if (value > 1) return corrupt("metadata '{}': {} is not a boolean", key, value);
      return json(value == 1);
    }
    case kString: {
      std::string value;
      CONTINUO_RETURN_IF_ERROR(read_string(value, bytes_.size(), key.c_str()));
      return json(std::move(value));
    }
    case kArray:
      return read_array(depth + 1, key);
    default:
      return corrupt("metadata '{}' has unknown type {}", key, type);
  }
}

Result<json> Parser::read_array(int depth, const std::string& key) {
  if (depth > kMaxArrayDepth) {
    return corrupt("metadata '{}' nests arrays more than {} deep", key, kMaxArrayDepth);
  }
  uint32_t type = 0;
  uint64_t count = 0;
  CONTINUO_RETURN_IF_ERROR(read(type, key.c_str()));
  CONTINUO_RETURN_IF_ERROR(read(count, key.c_str()));
  const uint64_t least = smallest(type);
  if (least == 0) return corrupt("metadata '{}' is an array of unknown type {}", key, type);
  if (count > left() / least) {
    return corrupt("metadata '{}' claims {} elements, {} bytes are left", key, count, left());
  }
  if (count > kMaxMetadataValues - value_count_) {
    return corrupt("metadata '{}' claims {} elements; {} values are allowed in all", key, count,
                   kMaxMetadataValues);
  }
  json::array_t values;
  values.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    CONTINUO_TRY(json value, read_value(type, depth, key));
    values.push_back(std::move(value));
  }
  return json(std::move(values));
}

Status Parser::read_alignment() {
  const json* value = file_.find("general.alignment");
  if (value == nullptr) return ok_status();
  const bool number = value->is_number_unsigned();
  const uint64_t alignment = number ? value->get<uint64_t>() : 0;
  if (!std::has_single_bit(alignment) || alignment > kMaxAlignment) {
    return corrupt("general.alignment is {}, wanted a power of two up to {}", value->dump(),
                   kMaxAlignment);
  }
  file_.alignment = alignment;
  return ok_status();
}

Status Parser::read_tensor(uint64_t index) {
  GgufTensor tensor;
  CONTINUO_RETURN_IF_ERROR(read_string(tensor.name, kMaxTensorNameBytes, "a tensor name"));
  if (tensor.name.empty()) return corrupt("tensor {} has no name", index);
  if (!names_.insert(tensor.name).second) return corrupt("tensor '{}' appears twice", tensor.name);
  CONTINUO_RETURN_IF_ERROR(read_shape(tensor));
  CONTINUO_RETURN_IF_ERROR(read_type(tensor));
  CONTINUO_RETURN_IF_ERROR(read(tensor.offset, "a tensor offset"));
  if (tensor.offset % file_.alignment != 0) {
    return corrupt("tensor '{}' starts at {}, not a multiple of the alignment {}", tensor.name,
                   tensor.offset, file_.alignment);
  }
  file_.tensors.push_back(std::move(tensor));
  return ok_status();
}

Status Parser::read_shape(GgufTensor& tensor) {
  uint32_t dims = 0;
  CONTINUO_RETURN_IF_ERROR(read(dims, "a tensor's rank"));
  if (dims < 1 || dims > kMaxDims) {
    return corrupt("tensor '{}' has {} dimensions, wanted 1 to {}", tensor.name, dims, kMaxDims);
  }
  std::vector<int64_t> shape(dims);
  uint64_t elements = 1;
  for (uint32_t i = 0; i < dims; ++i) {
    uint64_t size = 0;
    CONTINUO_RETURN_IF_ERROR(read(size, "a tensor's shape"));
    // Two bits an element is the densest type there is: more elements cannot be in the file.
    if (size == 0 || size > 4 * bytes_.size() / elements) {
      return corrupt("tensor '{}': dimension {} is {}, too much for a file of {} bytes",
                     tensor.name, i, size, bytes_.size());
    }
    elements *= size;
    shape[dims - 1 - i] = static_cast<int64_t>(size);
  }
  tensor.shape = Shape(std::move(shape));
  return ok_status();
}

Status Parser::read_type(GgufTensor& tensor) {
  uint32_t id = 0;
  CONTINUO_RETURN_IF_ERROR(read(id, "a tensor's type"));
  const GgmlTypeInfo* type = find_ggml_type(id);
  if (type == nullptr) {
    return error(ErrorCode::kUnsupported, "{}: tensor '{}' has {}, which cannot be read", where_,
                 tensor.name, ggml_type_name(id));
  }
  const int64_t columns = tensor.shape[tensor.shape.rank() - 1];
  if (columns % type->block != 0) {
    return corrupt("tensor '{}': rows of {} elements are no multiple of {}'s block of {}",
                   tensor.name, columns, type->name, type->block);
  }
  tensor.type = type->type;
  tensor.bytes = static_cast<uint64_t>(tensor.shape.elements() / type->block * type->bytes);
  return ok_status();
}

// Offsets count from the first aligned byte after the tensor table.
Status Parser::place_tensors() {
  const uint64_t start = (position_ + file_.alignment - 1) / file_.alignment * file_.alignment;
  for (GgufTensor& tensor : file_.tensors) {
    if (start > bytes_.size() || tensor.offset > bytes_.size() - start ||
        tensor.bytes > bytes_.size() - start - tensor.offset) {
      return corrupt("tensor '{}' wants {} bytes at {} + {}, the file has {} (truncated?)",
                     tensor.name, tensor.bytes, start, tensor.offset, bytes_.size());
    }
    tensor.offset += start;
  }
  std::vector<const GgufTensor*> order;
  order.reserve(file_.tensors.size());
  for (const GgufTensor& tensor : file_.tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(),
            [](const GgufTensor* a, const GgufTensor* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < order.size(); ++i) {
    if (order[i - 1]->offset + order[i - 1]->bytes > order[i]->offset) {
      return corrupt("tensors '{}' and '{}' overlap", order[i - 1]->name, order[i]->name);
    }
  }
  return ok_status();
}

}  // namespace

const json* GgufFile::find(std::string_view key) const {
  const auto place = metadata.find(key);
  return place == metadata.end() ? nullptr : &*place;
}

Result<GgufFile> parse_gguf(std::span<const std::byte> bytes, const std::string& where) {
  return Parser(bytes, where).parse();
}

}  // namespace continuo::checkpoint

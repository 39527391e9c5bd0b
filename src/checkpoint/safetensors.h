// The safetensors container: 8 bytes of header length, a JSON header, then the tensors' bytes.
// Format: https://huggingface.co/docs/safetensors (README, "Format"). Every claim of the header is
// checked here, so that nothing after it has to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/mapped_file.h"
#include "base/result.h"
#include "base/shape.h"

namespace continuo::checkpoint {

struct SafetensorsTensor {
  std::string name;
  std::string_view dtype_name;  // the format's spelling: "BF16", "F8_E4M3", ... (static)
  std::optional<DType> dtype;   // nullopt: known to the format, but this build cannot read it
  Shape shape;
  size_t offset = 0, bytes = 0;  // in the file; in bounds, overlapping no other tensor
};

struct SafetensorsHeader {
  std::vector<SafetensorsTensor> tensors;  // in the order of their bytes
  std::string format;                      // __metadata__'s "format": "pt", "mlx", ... or ""
};

// Reads the header of a whole file held in memory. Errors (kCorrupt) name `where`, the tensor, what
// was expected and what came: lengths beyond the file, bad JSON, unknown dtype, shapes that do not
// match their bytes, overlaps, holes, duplicate names.
Result<SafetensorsHeader> parse_safetensors(std::span<const std::byte> file,
                                            const std::string& where);

// One mapped file and its tensors. Any thread; movable.
struct SafetensorsFile {
  MappedFile file;
  SafetensorsHeader header;
};
Result<SafetensorsFile> open_safetensors(const std::string& path);

// A folder's weights: one file, or the shards that an index names.
struct SafetensorsSet {
  std::vector<SafetensorsFile> files;
  struct Entry {
    const SafetensorsFile* file;  // into `files`
    const SafetensorsTensor* tensor;
  };
  std::vector<Entry> tensors;  // sorted by name
};

// `model.safetensors`, else the shards of `model.safetensors.index.json`, else the only
// *.safetensors there is. Errors name the folder, shard and tensor: nothing found, PyTorch pickles
// instead (kUnsupported), a shard missing, outside the folder, or without a tensor it should hold.
Result<std::unique_ptr<SafetensorsSet>> open_safetensors_folder(const std::string& folder);

}  // namespace continuo::checkpoint

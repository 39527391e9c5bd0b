#include <algorithm>
#include <filesystem>
#include <fstream>

#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf.h"
#include "checkpoint/huggingface.h"

namespace continuo::checkpoint {
namespace {

namespace fs = std::filesystem;

bool begins_with_gguf_magic(const fs::path& path) {
  char magic[4] = {};
  std::ifstream(path, std::ios::binary).read(magic, sizeof(magic));
  return std::equal(magic, magic + sizeof(magic), "GGUF");
}

}  // namespace

Result<Checkpoint> open(const std::string& path, const OpenOptions& options) {
  std::error_code failure;
  const fs::file_status status = fs::status(path, failure);
  if (fs::is_directory(status)) return open_huggingface(path, options);
  if (!fs::exists(status))
    return error(ErrorCode::kNotFound, "{}: wanted a model folder or a .gguf file, found nothing",
                 path);
  const bool regular = fs::is_regular_file(status);
  if (regular && (fs::path(path).extension() == ".gguf" || begins_with_gguf_magic(path)))
    return open_gguf(path, options);
  return error(ErrorCode::kInvalidArgument,
               "{}: wanted a model folder or a .gguf file, got another kind of file{}", path,
               fs::path(path).extension() == ".safetensors" ? " (give the folder it is in)" : "");
}

}  // namespace continuo::checkpoint

// Fuzzes the JSON parser, the safetensors header parser, and reading every tensor it describes.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/json.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/safetensors_source.h"

namespace {

using namespace continuo::checkpoint;

// The input as a file, because tensors are read from a mapped one.
void read_every_tensor(const uint8_t* data, size_t size) {
  static const int file = ::memfd_create("input", MFD_CLOEXEC);
  if (file < 0 || ::ftruncate(file, 0) != 0 ||
      ::pwrite(file, data, size, 0) != static_cast<ssize_t>(size))
    std::abort();
  auto opened = open_safetensors("/proc/self/fd/" + std::to_string(file));
  if (!opened.ok()) std::abort();  // the same bytes were accepted in memory
  auto set = std::make_unique<SafetensorsSet>();
  set->files.push_back(std::move(*opened));
  for (const SafetensorsTensor& tensor : set->files[0].header.tensors)
    set->tensors.push_back({&set->files[0], &tensor});
  std::sort(set->tensors.begin(), set->tensors.end(),
            [](const auto& a, const auto& b) { return a.tensor->name < b.tensor->name; });

  const nlohmann::json config{{"quantization", {{"group_size", 32}, {"bits", 4}}}};
  const auto source = make_safetensors_source(std::move(set), config);
  if (!source.ok()) return;
  std::vector<float> out;
  for (const TensorInfo& tensor : (*source)->tensors()) {
    out.resize(static_cast<size_t>(tensor.shape.elements()));
    static_cast<void>((*source)->read_f32(tensor, out).ok());
    (*source)->release(tensor);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto parsed =
      parse_json({reinterpret_cast<const char*>(data), size}, "input", {.max_depth = 64});
  if (parsed.ok()) static_cast<void>(parsed->dump(-1, ' ', true));
  if (parse_safetensors(std::as_bytes(std::span(data, size)), "input").ok())
    read_every_tensor(data, size);
  return 0;
}

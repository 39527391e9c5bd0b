// libFuzzer: a GGUF file's header, its mapping to Hugging Face's names and the reading of its
// small tensors, from hostile bytes.
#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/gguf_config.h"

namespace {

constexpr int64_t kSmall = 1 << 16;

void read_small_tensors(const continuo::checkpoint::GgufFile& file,
                        const std::vector<continuo::checkpoint::GgufMapping>& tensors,
                        std::span<const std::span<const std::byte>> parts) {
  int64_t budget = kSmall;
  for (const auto& tensor : tensors) {
    const int64_t elements = tensor.info.shape.elements();
    if (elements > budget) continue;
    budget -= elements;
    std::vector<float> values(static_cast<size_t>(elements));
    continuo::checkpoint::read_mapping(file, tensor, parts, values);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes{reinterpret_cast<const std::byte*>(data), size};
  const std::span<const std::byte> parts[] = {bytes};
  const auto file = continuo::checkpoint::parse_gguf(bytes, "fuzz");
  if (!file.ok()) return 0;
  const auto model = continuo::checkpoint::map_gguf(*file, parts);
  if (model.ok()) read_small_tensors(*file, model->tensors, parts);
  return 0;
}

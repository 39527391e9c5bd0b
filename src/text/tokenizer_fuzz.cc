// libFuzzer: the bytes of a tokenizer's file, of every kind, then text and ids through what loads.
// The first byte says which kind; a line of configuration may stand before the file.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace {

using continuo::text::Tokenizer;
using nlohmann::json;

constexpr std::string_view kNames[] = {
    "tokenizer.json",  "tokenizer.model",          "tiktoken.model", "tekken.json",
    "tokenizer.jsonl", "rwkv_vocab_v20230424.txt", "gguf",           "vocab.json"};
constexpr std::string_view kMerges = "#version: 0.2\na b\nab c\n";  // beside vocab.json

void require(bool holds) {
  if (!holds) std::abort();
}

continuo::Result<Tokenizer> load(std::string_view name, std::string_view data, const json* config) {
  if (name == "tokenizer.json")
    return Tokenizer::create({.tokenizer_json = data, .tokenizer_config = config});
  if (name != "gguf")
    return Tokenizer::create(
        {.file_name = name, .file = data, .merges = kMerges, .tokenizer_config = config});
  const json metadata = json::parse(data, nullptr, false);
  if (!metadata.is_object()) return Tokenizer::create({});
  return Tokenizer::create({.gguf = &metadata, .tokenizer_config = config});
}

// Every id can be looked up and streamed, and a stream is what decoding gives.
void use(const Tokenizer& tokenizer, std::string_view text, bool parse_special) {
  const auto ids = tokenizer.encode(text, {.parse_special = parse_special});
  if (!ids.ok()) return;
  const auto decoded = tokenizer.decode(*ids, false);
  auto stream = tokenizer.stream(false);
  std::string streamed;
  bool ok = decoded.ok();
  for (const int32_t id : *ids) {
    tokenizer.token_bytes(id);
    auto piece = stream.push(id);
    ok = ok && piece.ok();
    if (ok) streamed += *piece;
  }
  const auto rest = stream.flush();
  if (ok && rest.ok()) require(streamed + *rest == *decoded);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view name = kNames[data[0] % std::size(kNames)];
  std::string_view file(reinterpret_cast<const char*>(data) + 1, size - 1);
  json config;
  if (const size_t end = file.find('\n'); file.starts_with('{') && end != file.npos) {
    config = json::parse(file.substr(0, end), nullptr, false);
    if (!config.is_discarded()) file.remove_prefix(end + 1);
  }
  const auto tokenizer = load(name, file, config.is_object() ? &config : nullptr);
  if (!tokenizer.ok()) return 0;
  const std::string_view tail = file.substr(file.size() - std::min<size_t>(file.size(), 200));
  for (const bool parse_special : {true, false}) {
    use(*tokenizer, " The naïve 日本語  🙂\n<s>a</s>\t1234 \xff", parse_special);
    use(*tokenizer, tail, parse_special);
  }
  return 0;
}

// libFuzzer: a chat template, and after a NUL the messages it renders. Both are bounded in time and
// memory, whatever they are.
#include <continuo_text.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace {

using namespace continuo::text;

constexpr std::string_view kTokenizer =
    R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}, "added_tokens": []})";
constexpr std::string_view kMessages =
    R"([{"role": "system", "content": "s"}, {"role": "user", "content": " u\n"},
        {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1.5}}}]},
        {"role": "tool", "content": "é"}, {"role": "user", "content": [{"type": "text", "text": "t"}]}])";
constexpr auto kLongest = std::chrono::seconds(8);

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Little, because a template that exceeds it keeps what it has.
  static const Tokenizer tokenizer = [] {
    continuo_template_limits(uint64_t{4} << 20, 1000);
    return Tokenizer::create({.tokenizer_json = kTokenizer}).value();
  }();
  const auto start = std::chrono::steady_clock::now();
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = input.find('\0');
  const auto chat = ChatTemplate::create({.jinja = input.substr(0, end)}, tokenizer);
  if (chat.ok()) {
    ChatRequest request;
    request.messages = end == input.npos ? kMessages : input.substr(end + 1);
    request.now = 1722384000;
    const auto once = chat->render(request), again = chat->render(request);
    if (once.ok() && again.ok() && *once != *again) std::abort();
  }
  if (std::chrono::steady_clock::now() - start > kLongest) std::abort();
  return 0;
}

// How much of each field a request may bring. What is longer is a 400 that names the field.
#pragma once

#include <cstddef>
#include <cstdint>

namespace continuo::server {

constexpr size_t kMaxName = 1 << 10;         // bytes of model, user, reasoning_effort, role ...
constexpr size_t kMaxStrings = 16;           // stop, dry_sequence_breakers
constexpr size_t kMaxStringBytes = 1 << 10;  // of each of those
constexpr size_t kMaxStopIds = 1 << 10;
constexpr size_t kMaxBiases = 512;
constexpr size_t kMaxPrompts = 1 << 10;  // and prompts times n: what the engine's queue holds
constexpr size_t kMaxMessages = 4 << 10;
constexpr size_t kMaxParts = 1 << 10;       // of a message's content
constexpr size_t kMaxToolCalls = 128;       // of a message
constexpr size_t kMaxMetadata = 16;         // pairs; OpenAI's
constexpr size_t kMaxVariables = 64 << 10;  // bytes of chat_template_kwargs, as JSON
// Each prompt's engine request has its own stops, biases and breakers: all of them together.
constexpr size_t kMaxCopied = 64 << 20;
constexpr int64_t kMaxChoices = 128;
constexpr int64_t kMaxLogprobs = 20;

}  // namespace continuo::server

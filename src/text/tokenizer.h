// Tokenizer: text to token ids and back, from a tokenizer.json, one of the vocabularies that
// folders have instead, or the metadata of a GGUF file.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/stream_decoder.h"

struct ContinuoTokenizer;

namespace continuo::text {

// What a checkpoint says about its tokenizer. Borrowed for the call; null and "" mean not there.
// The first of tokenizer_json, file and gguf that is given wins.
struct TokenizerSource {
  std::string_view tokenizer_json;                   // contents of tokenizer.json
  std::string_view file_name;                        // of `file`: tokenizer.model, tekken.json, ...
  std::string_view file;                             // the bytes of a vocabulary
  std::string_view merges;                           // merges.txt, beside a vocab.json
  const nlohmann::json* gguf = nullptr;              // object with the keys "tokenizer.ggml.*"
  const nlohmann::json* tokenizer_config = nullptr;  // tokenizer_config.json
  const nlohmann::json* special_tokens_map = nullptr;  // special_tokens_map.json
  const nlohmann::json* added_tokens = nullptr;        // added_tokens.json, the older form
  const nlohmann::json* config = nullptr;              // config.json: eos_token_id
  const nlohmann::json* generation_config = nullptr;   // generation_config.json: eos_token_id
};

// Asked about every millisecond of work, which it may use to do other work first; true ends it.
using Stop = std::function<bool()>;

struct EncodeOptions {
  bool add_special = true;     // what the tokenizer puts around a text (BOS, seldom EOS)
  bool parse_special = true;   // special tokens written in the text become their ids
  const Stop* stop = nullptr;  // borrowed for the call
};

// Immutable and cheap to copy (copies share it); any thread.
//
// tokenizer.json goes through Hugging Face's `tokenizers`. Other files: SentencePiece's
// tokenizer.model, tiktoken's ranks, tekken.json, PLaMo-2's tokenizer.jsonl, RWKV's vocabulary and
// GPT-2's vocab.json, as transformers or the Python code beside them reads them. GGUF: "gpt2"
// (byte-level BPE, cut by `pre`), "llama" (SentencePiece BPE by score), "t5" (unigram), "bert"
// (WordPiece), "rwkv", "plamo2", as llama.cpp reads them.
class Tokenizer {
 public:
  // kNotFound: the checkpoint has no tokenizer; kUnsupported: a GGUF model or `pre` not known here;
  // kCorrupt: the files contradict themselves.
  static Result<Tokenizer> create(const TokenizerSource& source);

  // Bytes that are no UTF-8 are read as U+FFFD. A rendered chat is encoded with
  // {.add_special = false}: its template has written BOS already. kCancelled: `stop` said so.
  Result<std::vector<int32_t>> encode(std::string_view text, EncodeOptions options = {}) const;
  // Ids without a token (a padded vocabulary's rows) add nothing.
  Result<std::string> decode(std::span<const int32_t> ids, bool skip_special = true) const;
  // Text of ids that arrive one at a time; may outlive the tokenizer.
  StreamDecoder stream(bool skip_special = true) const;

  std::optional<std::string> token(int32_t id) const;        // as the vocabulary writes it: "Ġthe"
  std::optional<std::string> token_bytes(int32_t id) const;  // what it adds to a text: " the"
  std::optional<int32_t> id(std::string_view token) const;
  bool is_special(int32_t id) const;

  int32_t vocab_size() const;  // highest id + 1; the model's logits may have more rows
  std::optional<int32_t> bos() const;
  std::optional<int32_t> eos() const;
  std::optional<int32_t> eot() const;  // end of a turn, where the format knows one (GGUF)
  std::optional<int32_t> pad() const;
  bool adds_bos() const;  // encode({.add_special = true}) puts BOS first

  // Every id that ends a generation: eos_token_id of generation_config and config, the tokenizer's
  // EOS, and for GGUF EOT, EOM and the well-known turn ends llama.cpp stops at.
  const std::set<int32_t>& eos_ids() const;
  bool is_eos(int32_t id) const { return eos_ids().contains(id); }

  // Of a kind of file whose models all write chats alike (tekken.json); "" = none.
  const std::string& default_chat_template() const;

  // What is odd about the files but did not stop them from being read, for the log.
  const std::vector<std::string>& warnings() const;

  // "bos_token" -> "<s>", ...: the variables chat templates expect.
  const std::map<std::string, std::string>& special_tokens() const;

 private:
  struct State;
  explicit Tokenizer(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

}  // namespace continuo::text

#include "text/stream_decoder.h"

#include <gmock/gmock.h>

#include <chrono>

#include "text/golden_test.h"

namespace continuo::text {
namespace {

bool whole_characters(const std::string& text) {
  return json(text).dump(-1, ' ', false, json::error_handler_t::ignore) == json(text).dump();
}

// What is certain of a prefix's decoding: all before the U+FFFD that may still be completed.
std::string without_unfinished(std::string text) {
  while (text.ends_with("\xef\xbf\xbd")) text.resize(text.size() - 3);
  return text;
}

// Streams `ids`, checking at each that what is out is whole, and a prefix of what decode() gives.
void check_stream(const Tokenizer& tokenizer, const Ids& ids, bool skip_special) {
  StreamDecoder stream = tokenizer.stream(skip_special);
  const std::string all = *tokenizer.decode(ids, skip_special);
  std::string out;
  for (size_t i = 0; i < ids.size(); ++i) {
    const std::string piece = *stream.push(ids[i]);
    ASSERT_TRUE(whole_characters(piece));
    out += piece;
    ASSERT_TRUE(all.starts_with(out)) << out;
    const Ids prefix(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(i) + 1);
    ASSERT_TRUE(tokenizer.decode(prefix, skip_special)->starts_with(out));
    // Ending here must give the prefix's own decoding.
    StreamDecoder again = tokenizer.stream(skip_special);
    std::string ended;
    for (int32_t id : prefix) ended += *again.push(id);
    ended += *again.flush();
    ASSERT_EQ(ended, *tokenizer.decode(prefix, skip_special));
  }
  out += *stream.flush();
  EXPECT_EQ(out, all);
  EXPECT_EQ(*stream.flush(), "");
}

// Only what is out at each id: for texts that are too long to end at each.
void check_stream_once(const Tokenizer& tokenizer, const Ids& ids) {
  StreamDecoder stream = tokenizer.stream(false);
  const std::string all = *tokenizer.decode(ids, false);
  std::string out;
  for (const int32_t id : ids) {
    const std::string piece = *stream.push(id);
    ASSERT_TRUE(whole_characters(piece));
    out += piece;
    ASSERT_TRUE(all.starts_with(out)) << out;
  }
  EXPECT_EQ(out + *stream.flush(), all);
}

class GoldenStream : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(All, GoldenStream, ::testing::ValuesIn(golden_names()),
                         [](const auto& test) { return test.param; });

TEST_P(GoldenStream, EqualsDecodingAtEveryPrefix) {
  const Golden golden(GetParam());
  const Tokenizer tokenizer = golden.tokenizer();
  for (const json& expected : golden.expected["encodings"]) {
    SCOPED_TRACE(expected["text"].get<std::string>());
    check_stream(tokenizer, expected["ids_no_added_special"], false);
    check_stream(tokenizer, expected["ids"], true);
  }
  for (const json& expected : golden.expected["decode_raw"]) {
    check_stream(tokenizer, expected["ids"], false);
    check_stream(tokenizer, expected["ids"], true);
  }
}

TEST_P(GoldenStream, HoldsBackNoMoreThanTheReferencesUnfinishedCharacters) {
  const Golden golden(GetParam());
  const Tokenizer tokenizer = golden.tokenizer();
  for (const json& expected : golden.expected["encodings"]) {
    if (!expected["prefix_decode"].is_array()) continue;
    const Ids ids = expected["ids_no_added_special"];
    StreamDecoder stream = tokenizer.stream(false);
    std::string out;
    for (size_t i = 0; i < ids.size(); ++i) {
      out += *stream.push(ids[i]);
      const std::string certain = without_unfinished(expected["prefix_decode"][i]);
      EXPECT_TRUE(certain.starts_with(out)) << certain;
      // A run of byte tokens is certain only at its end.
      if (!tokenizer.token(ids[i])->starts_with("<0x")) {
        EXPECT_EQ(out, certain);
      }
    }
  }
}

TEST(StreamDecoder, RandomIdsNeverSplitOrRetract) {
  for (const std::string& name : golden_names()) {
    const Tokenizer tokenizer = Golden(name).tokenizer();
    uint32_t state = 12345;
    for (int round = 0; round < 50; ++round) {
      Ids ids;
      for (int i = 0; i < 12; ++i) {
        state = state * 1664525u + 1013904223u;
        ids.push_back(static_cast<int32_t>((state >> 8) % 400));
      }
      check_stream(tokenizer, ids, round % 2 == 0);
    }
  }
}

// Decoders without an incremental form, among them SentencePiece's in other orders.
std::vector<json> other_decoders() {
  const json metaspace = {
      {"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "always"}};
  const json replace = {{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}};
  const json bytes = {{"type", "ByteFallback"}}, fuse = {{"type", "Fuse"}};
  const json strip = {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}};
  const auto sequence = [](std::initializer_list<json> parts) {
    return json{{"type", "Sequence"}, {"decoders", json(parts)}};
  };
  return {nullptr,
          metaspace,
          {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}},
          {{"type", "BPEDecoder"}, {"suffix", "</w>"}},
          {{"type", "CTC"}, {"pad_token", "▁"}, {"word_delimiter_token", "|"}, {"cleanup", true}},
          sequence({replace, bytes}),
          sequence({bytes, metaspace}),
          sequence({replace, bytes, fuse, strip, fuse})};
}

TEST(StreamDecoder, DecodersWithoutAnIncrementalFormAreDecodedInAWindow) {
  const Golden golden("tokenizer_spm");
  json source = json::parse(golden.tokenizer_json);
  std::string corpus = "A naïve fox, and another. ";
  for (const json& expected : golden.expected["encodings"])
    corpus += expected["text"].get<std::string>() + " ";
  corpus +=
      "日本語のテキスト 🙂🏳️‍🌈 नमस्ते שלום مرحبا \t\n  "
      "\u0001 "
      "e\u0301 ";
  for (const json& decoder : other_decoders()) {
    SCOPED_TRACE(decoder.dump());
    source["decoder"] = decoder;
    const std::string text = source.dump();
    const Tokenizer tokenizer = *Tokenizer::create({.tokenizer_json = text});
    check_stream(tokenizer, *tokenizer.encode("A naïve fox, and another."), true);
    const Ids ids = *tokenizer.encode(corpus);
    ASSERT_GT(ids.size(), 200u);
    check_stream_once(tokenizer, ids);
    uint32_t state = 4;
    Ids random(300);
    for (int32_t& id : random)
      id = static_cast<int32_t>(((state = state * 1664525u + 1013904223u) >> 8) % 400);
    check_stream_once(tokenizer, random);
  }
}

TEST(StreamDecoder, ALongAnswerCostsNoMoreForEachToken) {
  json source = json::parse(Golden("tokenizer_spm").tokenizer_json);
  source["decoder"] = {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "always"}};
  const std::string text = source.dump();
  const Tokenizer tokenizer = *Tokenizer::create({.tokenizer_json = text});
  const Ids words = *tokenizer.encode("A naïve fox, and another. ");
  Ids ids;
  while (ids.size() < 30000) ids.insert(ids.end(), words.begin(), words.end());
  StreamDecoder stream = tokenizer.stream();
  std::string out;
  const auto start = std::chrono::steady_clock::now();
  for (const int32_t id : ids) out += *stream.push(id);
  // Decoding all of it at each token takes minutes.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  EXPECT_EQ(out + *stream.flush(), *tokenizer.decode(ids));
}

TEST(StreamDecoder, OutlivesItsTokenizer) {
  auto stream = [] { return Golden("tokenizer").tokenizer().stream(); }();
  EXPECT_EQ(*stream.push(69), "a");
  EXPECT_EQ(*stream.push(-5), "");
  EXPECT_EQ(*stream.push(132), "");
  EXPECT_EQ(*stream.flush(), "\xef\xbf\xbd");
  EXPECT_EQ(*stream.push(69), "a");
}

}  // namespace
}  // namespace continuo::text

#include "text/stream_decoder.h"

#include <gmock/gmock.h>

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

TEST(StreamDecoder, DecodersWithoutAnIncrementalFormAreDecodedWhole) {
  json source = json::parse(Golden("tokenizer_spm").tokenizer_json);
  const json decoders = {
      {{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "always"}}, nullptr};
  for (const json& decoder : decoders) {
    source["decoder"] = decoder;
    const std::string text = source.dump();
    const Tokenizer tokenizer = *Tokenizer::create({.tokenizer_json = text});
    check_stream(tokenizer, *tokenizer.encode("A naïve fox, and another."), true);
  }
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

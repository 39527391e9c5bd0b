#include "text/tokenizer.h"

#include <gmock/gmock.h>

#include <chrono>

#include "text/golden_test.h"

namespace continuo::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class GoldenTokenizer : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(All, GoldenTokenizer, ::testing::ValuesIn(golden_names()),
                         [](const auto& test) { return test.param; });

TEST_P(GoldenTokenizer, EncodesAndDecodesAsTheReference) {
  const Golden golden(GetParam());
  const Tokenizer tokenizer = golden.tokenizer();
  EXPECT_EQ(tokenizer.vocab_size(), golden.expected["vocab_size"]);
  ASSERT_EQ(golden.expected["encodings"].size(), 42u);
  for (const json& expected : golden.expected["encodings"]) {
    const std::string text = expected["text"];
    SCOPED_TRACE(text);
    const Ids ids = *tokenizer.encode(text);
    EXPECT_EQ(ids, expected["ids"].get<Ids>());
    EXPECT_EQ(*tokenizer.encode(text, {.add_special = false}),
              expected["ids_no_added_special"].get<Ids>());
    const Ids bare = expected["ids_no_added_special"];
    EXPECT_EQ(*tokenizer.decode(bare, false), expected["decode"]);
    EXPECT_EQ(*tokenizer.decode(bare, true), expected["decode_skip_special"]);
    for (size_t i = 0; i < expected["tokens"].size(); ++i)
      EXPECT_EQ(tokenizer.token(bare[i]), expected["tokens"][i].get<std::string>());
  }
}

TEST_P(GoldenTokenizer, DecodesIdsThatNoTextGives) {
  const Golden golden(GetParam());
  const Tokenizer tokenizer = golden.tokenizer();
  for (const json& expected : golden.expected["decode_raw"]) {
    const Ids ids = expected["ids"];
    EXPECT_EQ(*tokenizer.decode(ids, false), expected["decode"]);
    EXPECT_EQ(*tokenizer.decode(ids, true), expected["decode_skip_special"]);
  }
}

TEST(Tokenizer, EncodingEndsWhenToldAndHandsOnWhatIsThrown) {
  const Tokenizer tokenizer = Golden("tokenizer").tokenizer();
  std::string text;
  while (text.size() < 300000) text += "The naïve 日本語 quick_brown(fox) 1234 jumps\n";
  int asked = 0;
  const Stop never = [&] { return ++asked < 0; };
  const Ids whole = *tokenizer.encode(text, {.stop = &never});
  EXPECT_GT(asked, 50);
  EXPECT_EQ(whole, *tokenizer.encode(text));
  asked = 0;
  const Stop third = [&] { return ++asked == 3; };
  EXPECT_EQ(tokenizer.encode(text, {.stop = &third}).error().code, ErrorCode::kCancelled);
  EXPECT_EQ(asked, 3);
  const Stop throws = []() -> bool { throw std::runtime_error("x"); };
  EXPECT_THROW((void)tokenizer.encode(text, {.stop = &throws}), std::runtime_error);
  // Other texts may be encoded meanwhile.
  Ids inner;
  const Stop encodes = [&] {
    if (inner.empty()) inner = *tokenizer.encode(text, {.stop = &never});
    return false;
  };
  EXPECT_EQ(*tokenizer.encode(text, {.stop = &encodes}), whole);
  EXPECT_EQ(inner, whole);
}

TEST(Tokenizer, KnowsItsSpecialTokens) {
  const Golden golden("tokenizer_gpt2");
  const json generation = {{"eos_token_id", {4, 2}}};
  const json config = {{"eos_token_id", 7},
                       {"thinker_config", {{"text_config", {{"eos_token_id", 9}}}}}};
  const Tokenizer tokenizer = *Tokenizer::create({.tokenizer_json = golden.tokenizer_json,
                                                  .tokenizer_config = &golden.tokenizer_config,
                                                  .config = &config,
                                                  .generation_config = &generation});
  EXPECT_EQ(tokenizer.bos(), 1);
  EXPECT_EQ(tokenizer.eos(), 2);
  EXPECT_EQ(tokenizer.pad(), 0);
  EXPECT_EQ(tokenizer.eot(), std::nullopt);
  EXPECT_TRUE(tokenizer.adds_bos());
  EXPECT_THAT(tokenizer.eos_ids(), ElementsAre(2, 4, 7, 9));
  EXPECT_TRUE(tokenizer.is_eos(4) && !tokenizer.is_eos(1));
  EXPECT_TRUE(tokenizer.is_special(3) && !tokenizer.is_special(69));
  EXPECT_EQ(tokenizer.special_tokens().at("eos_token"), "<|endoftext|>");
  EXPECT_FALSE(Golden("tokenizer").tokenizer().adds_bos());
}

TEST(Tokenizer, LooksUpTokensAndTheirBytes) {
  const Tokenizer tokenizer = Golden("tokenizer_gpt2").tokenizer();
  EXPECT_EQ(tokenizer.token(225), "Ġ");
  EXPECT_EQ(tokenizer.token_bytes(225), " ");
  EXPECT_EQ(tokenizer.token_bytes(132), "\xc3");
  EXPECT_EQ(tokenizer.id("Ġ"), 225);
  EXPECT_EQ(tokenizer.id("no such token"), std::nullopt);
  EXPECT_EQ(tokenizer.id("\xff"), std::nullopt);
  EXPECT_EQ(tokenizer.token(100000), std::nullopt);
  EXPECT_EQ(tokenizer.token(-1), std::nullopt);
  EXPECT_EQ(Golden("tokenizer_spm").tokenizer().token_bytes(201), "\xc3");
}

TEST(Tokenizer, ReadsSpecialTokensInTextOnlyWhenAsked) {
  const Tokenizer tokenizer = Golden("tokenizer").tokenizer();
  EXPECT_THAT(*tokenizer.encode("<|im_end|>"), ElementsAre(4));
  const Ids literal = *tokenizer.encode("<|im_end|>", {.parse_special = false});
  EXPECT_THAT(literal, ::testing::Not(::testing::Contains(4)));
  EXPECT_EQ(*tokenizer.decode(literal, false), "<|im_end|>");
}

TEST(Tokenizer, SurvivesTextThatIsNoUtf8AndIdsThatAreNone) {
  const Tokenizer tokenizer = Golden("tokenizer").tokenizer();
  const Ids ids = *tokenizer.encode(std::string_view("a\xff\0b", 4));
  EXPECT_EQ(*tokenizer.decode(ids), std::string("a\xef\xbf\xbd\0b", 6));
  EXPECT_EQ(*tokenizer.decode(Ids{69, -1, 1 << 30, 70}), "ab");
  EXPECT_EQ(*tokenizer.decode({}), "");
}

TEST(Tokenizer, RefusesWhatItCannotRead) {
  EXPECT_EQ(Tokenizer::create({}).error().code, ErrorCode::kNotFound);
  const auto broken = Tokenizer::create({.tokenizer_json = "{\"model\": 3}"});
  EXPECT_EQ(broken.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(broken.error().message, HasSubstr("tokenizer.json"));
  const std::string deep(100000, '[');
  EXPECT_EQ(Tokenizer::create({.tokenizer_json = deep}).error().code, ErrorCode::kCorrupt);
  const json gguf = {{"tokenizer.ggml.model", "none"}, {"tokenizer.ggml.tokens", {"a"}}};
  const auto unsupported = Tokenizer::create({.gguf = &gguf});
  EXPECT_EQ(unsupported.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(unsupported.error().message, HasSubstr("'none'; supported: llama"));
}

// A vocabulary's metadata as llama.cpp's converter writes it for these three tokenizers.
json gguf_metadata(const Golden& golden, const std::string& model, const std::string& pre) {
  const json source = json::parse(golden.tokenizer_json);
  std::vector<std::string> tokens(golden.expected["vocab_size"].get<size_t>());
  std::vector<float> scores(tokens.size());
  std::vector<int> types(tokens.size(), 1);
  for (const auto& [token, id] : source["model"]["vocab"].items()) tokens[id] = token;
  for (size_t id = 0; id < tokens.size(); ++id) {
    scores[id] = -static_cast<float>(id);
    if (tokens[id].starts_with("<0x")) types[id] = 6;
    if (tokens[id] == "<unk>") types[id] = 2;
  }
  for (const json& added : source["added_tokens"]) {
    tokens[added["id"]] = added["content"];
    types[added["id"]] = 3;
  }
  std::vector<std::string> merges;
  for (const json& merge : source["model"]["merges"])
    merges.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  return {{"tokenizer.ggml.model", model},
          {"tokenizer.ggml.pre", pre},
          {"tokenizer.ggml.tokens", tokens},
          {"tokenizer.ggml.scores", scores},
          {"tokenizer.ggml.token_type", types},
          {"tokenizer.ggml.merges", merges},
          {"tokenizer.ggml.bos_token_id", 1},
          {"tokenizer.ggml.eos_token_id", 2},
          {"tokenizer.ggml.padding_token_id", 0},
          {"tokenizer.ggml.unknown_token_id", 5},
          {"tokenizer.ggml.add_bos_token", pre != "qwen2"}};
}

TEST(Tokenizer, GgufMetadataGivesTheSameTokenizer) {
  const std::vector<std::vector<std::string>> cases = {{"tokenizer", "gpt2", "qwen2"},
                                                       {"tokenizer_gpt2", "gpt2", "gpt-2"},
                                                       {"tokenizer_spm", "llama", "default"}};
  for (const auto& names : cases) {
    const Golden golden(names[0]);
    const json metadata = gguf_metadata(golden, names[1], names[2]);
    const auto made = Tokenizer::create({.gguf = &metadata});
    ASSERT_TRUE(made.ok()) << made.error().message;
    for (const json& expected : golden.expected["encodings"]) {
      SCOPED_TRACE(names[0] + ": " + expected["text"].get<std::string>());
      EXPECT_EQ(*made->encode(expected["text"].get<std::string>()), expected["ids"].get<Ids>());
      const Ids bare = expected["ids_no_added_special"];
      EXPECT_EQ(*made->decode(bare, false), expected["decode"]);
      EXPECT_EQ(*made->decode(bare, true), expected["decode_skip_special"]);
    }
    EXPECT_EQ(made->bos(), 1);
    EXPECT_EQ(made->adds_bos(), names[2] != "qwen2");
    EXPECT_EQ(made->special_tokens().at("bos_token"), "<|bos|>");
    EXPECT_THAT(made->eos_ids(), ElementsAre(2, 4));
    EXPECT_EQ(made->eot(), 4);
  }
}

TEST(Tokenizer, TenThousandCharactersTakeMilliseconds) {
  for (const std::string& name : golden_names()) {
    const Tokenizer tokenizer = Golden(name).tokenizer();
    std::string text;
    while (text.size() < 10000) text += "The quick brown fox, naïve 日本語 12345.\n";
    const auto start = std::chrono::steady_clock::now();
    EXPECT_GT(tokenizer.encode(text)->size(), 1000u);
    const auto elapsed = std::chrono::steady_clock::now() - start;
    EXPECT_LT(elapsed, std::chrono::milliseconds(500)) << name;
  }
}

}  // namespace
}  // namespace continuo::text

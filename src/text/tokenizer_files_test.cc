// Vocabularies other than tokenizer.json, against what their references give for every text of
// tests/goldens/tokenizer_files/corpus.json (tests/goldens/generate/tokenizer_files.py).
#include <gmock/gmock.h>

#include <chrono>
#include <sstream>

#include "text/chat_template.h"
#include "text/golden_test.h"

namespace continuo::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kFolder = "tokenizer_files/";

Ids parse_ids(const json& text) {
  std::istringstream in(text.get<std::string>());
  return {std::istream_iterator<int32_t>(in), std::istream_iterator<int32_t>()};
}

const std::vector<std::string>& corpus() {
  static const auto texts = json::parse(read_golden(std::string(kFolder) + "corpus.json"))
                                .get<std::vector<std::string>>();
  return texts;
}

struct FileGolden {
  json expected;
  std::string data;

  explicit FileGolden(const std::string& name)
      : expected(json::parse(read_golden(kFolder + name + ".expected.json"))),
        data(read_golden(kFolder + file())) {
    if (!expected.contains("patch")) return;
    json changed = json::parse(data);
    changed.merge_patch(expected["patch"]);
    data = changed.dump();
  }

  std::string file() const { return expected["file"].get<std::string>(); }

  Result<Tokenizer> tokenizer() const {
    const json metadata = file().ends_with(".gguf.json") ? json::parse(data) : json();
    if (metadata.is_object()) return Tokenizer::create({.gguf = &metadata});
    // The models of one kind lie side by side, each under a name of its own.
    const std::string name = file().ends_with(".model") && file() != "tiktoken.model"
                                 ? std::string("tokenizer.model")
                                 : file();
    const std::string merges =
        name == "vocab.json" ? read_golden(std::string(kFolder) + "merges.txt") : "";
    return Tokenizer::create(
        {.file_name = name,
         .file = data,
         .merges = merges,
         .tokenizer_config = &expected["tokenizer_config"],
         .config = expected.contains("config") ? &expected["config"] : nullptr});
  }
};

class TokenizerFile : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(
    All, TokenizerFile,
    ::testing::Values("sentencepiece_unigram", "sentencepiece_bpe", "sentencepiece_suffix",
                      "sentencepiece_char", "llama", "llama_legacy", "llama_no_prefix", "gemma",
                      "kimi", "qwen", "llama3", "tekken", "tekken_v15", "plamo", "rwkv", "gguf_t5",
                      "gguf_bert", "vocab_qwen2", "vocab_gpt2", "vocab_starcoder2",
                      "sentencepiece_bpe_unused", "sentencepiece_unigram_unused"),
    [](const auto& test) { return std::string(test.param); });

TEST_P(TokenizerFile, EncodesAsItsReference) {
  const FileGolden golden(GetParam());
  const auto tokenizer = golden.tokenizer();
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  ASSERT_GT(corpus().size(), 90u);
  ASSERT_EQ(golden.expected["ids"].size(), corpus().size());
  for (size_t i = 0; i < corpus().size(); ++i) {
    SCOPED_TRACE(json(corpus()[i]).dump());
    EXPECT_EQ(*tokenizer->encode(corpus()[i], {.add_special = false}),
              parse_ids(golden.expected["ids"][i]));
    if (golden.expected.contains("literal")) {
      EXPECT_EQ(*tokenizer->encode(corpus()[i], {.add_special = false, .parse_special = false}),
                parse_ids(golden.expected["literal"][i]));
    }
  }
  if (golden.expected.contains("with_special")) {
    EXPECT_EQ(*tokenizer->encode("a"), parse_ids(golden.expected["with_special"]));
  }
}

TEST_P(TokenizerFile, DecodesAsItsReferenceAndStreamsTheSame) {
  const FileGolden golden(GetParam());
  const Tokenizer tokenizer = *golden.tokenizer();
  for (size_t i = 0; i < corpus().size(); ++i) {
    SCOPED_TRACE(json(corpus()[i]).dump());
    const Ids ids = parse_ids(golden.expected["ids"][i]);
    const std::string text = golden.expected["decoded"].value(std::to_string(i), corpus()[i]);
    EXPECT_EQ(*tokenizer.decode(ids, false), text);
    // At every prefix what is out is certain, and what is held back completes it.
    StreamDecoder stream = tokenizer.stream(false);
    std::string out;
    for (size_t end = 0; end < ids.size(); ++end) {
      out += *stream.push(ids[end]);
      if (ids.size() > 40 && end % 17 != 0) continue;
      const Ids prefix(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(end) + 1);
      ASSERT_TRUE(tokenizer.decode(prefix, false)->starts_with(out)) << out;
    }
    ASSERT_TRUE(text.starts_with(out)) << out;
    EXPECT_EQ(out + *stream.flush(), text);
  }
}

TEST_P(TokenizerFile, ALongWordTakesNoQuadraticTime) {
  const Tokenizer tokenizer = *FileGolden(GetParam()).tokenizer();
  std::string word;
  while (word.size() < 200000) word += "abcdé日";
  const auto start = std::chrono::steady_clock::now();
  EXPECT_GE(tokenizer.encode(word)->size(), 1u);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST(TokenizerFiles, SpecialTokensComeFromTheFileAndTheConfiguration) {
  const Tokenizer llama = *FileGolden("llama").tokenizer();
  EXPECT_EQ(llama.special_tokens().at("bos_token"), "<s>");
  EXPECT_TRUE(llama.adds_bos());
  EXPECT_THAT(llama.eos_ids(), ElementsAre(2));
  const int32_t end = *llama.id("<|im_end|>");
  EXPECT_EQ(end, llama.vocab_size() - 1);
  EXPECT_TRUE(llama.is_special(end) && llama.is_special(1) && !llama.is_special(300));
  EXPECT_EQ(*llama.decode(Ids{1, end}, true), "");

  const Tokenizer kimi = *FileGolden("kimi").tokenizer();
  EXPECT_EQ(kimi.special_tokens().at("eos_token"), "[EOS]");
  EXPECT_THAT(kimi.eos_ids(), ElementsAre(*kimi.id("[EOS]")));
  EXPECT_FALSE(kimi.adds_bos());

  const Tokenizer tekken = *FileGolden("tekken").tokenizer();
  EXPECT_TRUE(tekken.adds_bos());
  EXPECT_EQ(tekken.token(7), "<SPECIAL_7>");
  EXPECT_EQ(tekken.special_tokens().at("eos_token"), "</s>");

  const Tokenizer rwkv = *FileGolden("rwkv").tokenizer();
  EXPECT_THAT(rwkv.eos_ids(), ElementsAre(0));
  EXPECT_EQ(rwkv.special_tokens().at("eos_token"), "<|rwkv_tokenizer_end_of_text|>");
  EXPECT_EQ(FileGolden("plamo").tokenizer()->special_tokens().at("eos_token"), "<|plamo:eos|>");
}

TEST(TokenizerFiles, TheMapAndTheOlderListOfAddedTokensAreRead) {
  const std::string model = read_golden(std::string(kFolder) + "bpe.model");
  const int32_t base = FileGolden("llama").tokenizer()->vocab_size() - 1;
  const json map = {{"eos_token", {{"content", "<|im_end|>"}}}, {"bos_token", "<s>"}};
  const json added = {{"<|im_end|>", base}, {"<plain>", base + 2}};
  const Tokenizer tokenizer = *Tokenizer::create({.file_name = "tokenizer.model",
                                                  .file = model,
                                                  .special_tokens_map = &map,
                                                  .added_tokens = &added});
  EXPECT_THAT(tokenizer.eos_ids(), ElementsAre(base));
  EXPECT_TRUE(tokenizer.is_special(base) && !tokenizer.is_special(base + 2));
  EXPECT_THAT(*tokenizer.encode("<|im_end|><plain>"), ElementsAre(base, base + 2));
  EXPECT_EQ(tokenizer.vocab_size(), base + 3);
  EXPECT_EQ(tokenizer.special_tokens().at("eos_token"), "<|im_end|>");
}

// As mistral-common 1.13.1 writes the same chat for a tekken.json of each version.
TEST(TokenizerFiles, MistralsChatsNeedNoTemplate) {
  constexpr const char* kChat =
      R"([{"role": "system", "content": "S"}, {"role": "user", "content": " a "},
          {"role": "assistant", "content": " b "},
          {"role": "user", "content": [{"type": "text", "text": "c"}]}])";
  const std::pair<const char*, const char*> cases[] = {
      {"v3", "<s>[INST] a [/INST] b</s>[INST]S\n\nc[/INST]"},
      {"v7", "<s>[SYSTEM_PROMPT]S[/SYSTEM_PROMPT][INST] a [/INST] b</s>[INST]c[/INST]"},
      {"v13", "<s>[SYSTEM_PROMPT]S[/SYSTEM_PROMPT][INST] a [/INST] b</s>[INST]c[/INST]"}};
  json file = json::parse(FileGolden("tekken").data);
  for (const auto& [version, expected] : cases) {
    file["config"]["version"] = version;
    const std::string data = file.dump();
    const Tokenizer tokenizer = *Tokenizer::create({.file_name = "tekken.json", .file = data});
    const auto chat = ChatTemplate::create({}, tokenizer);
    ASSERT_TRUE(chat.ok()) << chat.error().message;
    EXPECT_EQ(*chat->render({.messages = kChat}), expected);
    EXPECT_EQ(*ChatTemplate::create({.jinja = "own"}, tokenizer)->render({.messages = "[]"}),
              "own");
  }
  EXPECT_EQ(FileGolden("kimi").tokenizer()->default_chat_template(), "");
}

TEST(TokenizerFiles, MistralsModelSettingsStandBeforeTheFirstQuestion) {
  const FileGolden golden("tekken_v15");
  const Tokenizer tokenizer = *golden.tokenizer();
  EXPECT_TRUE(tokenizer.warnings().empty());
  const auto chat = ChatTemplate::create({}, tokenizer);
  ASSERT_TRUE(chat.ok()) << chat.error().message;
  ASSERT_EQ(golden.expected["chats"].size(), 3u);
  for (const json& each : golden.expected["chats"]) {
    const auto text =
        chat->render({.messages = each["messages"].dump(), .variables = each["variables"].dump()});
    ASSERT_TRUE(text.ok()) << text.error().message;
    EXPECT_EQ(*text, each["text"]);
    EXPECT_EQ(*tokenizer.encode(*text, {.add_special = false}), each["ids"].get<Ids>());
  }
  const auto wrong = chat->render({.messages = R"([{"role": "user", "content": "a"}])",
                                   .variables = R"({"reasoning_effort": "huge"})"});
  ASSERT_FALSE(wrong.ok());
  EXPECT_THAT(wrong.error().message, HasSubstr("none, high"));

  json newer = json::parse(golden.data);
  newer["config"]["version"] = "v16";
  const std::string data = newer.dump();
  EXPECT_THAT(Tokenizer::create({.file_name = "tekken.json", .file = data})->warnings(),
              ElementsAre(HasSubstr("version 'v16'")));
}

std::string repeated(const json& units) {
  std::string text;
  for (const json& unit : units)
    for (int64_t i = 0; i < unit[1].get<int64_t>(); ++i) text += unit[0].get<std::string>();
  return text;
}

// "5 6,7*2" is 5 6 7 6 7.
Ids parse_repeats(const std::string& text) {
  Ids ids;
  std::istringstream parts(text);
  for (std::string part; parts >> part;) {
    const size_t star = part.find('*');
    const int count = star == part.npos ? 1 : std::stoi(part.substr(star + 1));
    std::istringstream period(part.substr(0, star));
    Ids unit;
    for (std::string id; std::getline(period, id, ',');) unit.push_back(std::stoi(id));
    for (int i = 0; i < count; ++i) ids.insert(ids.end(), unit.begin(), unit.end());
  }
  return ids;
}

TEST(TokenizerFiles, KimiCutsLongTextsAndNamesItsSpecialTokens) {
  const Tokenizer tokenizer = *FileGolden("kimi").tokenizer();
  const json cases = json::parse(read_golden(std::string(kFolder) + "kimi_long.json"));
  ASSERT_EQ(cases.size(), 12u);
  for (const json& each : cases) {
    SCOPED_TRACE(each["text"].dump());
    const Ids expected = parse_repeats(each["ids"]);
    // Not printed: hundreds of thousands.
    EXPECT_TRUE(*tokenizer.encode(repeated(each["text"]), {.add_special = false}) == expected);
  }
}

TEST(TokenizerFiles, FlagsBesideATokenizerJsonCountAsInTransformers) {
  const json golden = json::parse(read_golden(std::string(kFolder) + "flags.json"));
  ASSERT_EQ(golden["cases"].size(), 48u);
  json file = json::parse(Golden("tokenizer").tokenizer_json);
  for (const json& each : golden["cases"]) {
    SCOPED_TRACE(each.dump());
    file["post_processor"] = each["template"] ? golden["post_processor"] : json();
    const std::string text = file.dump();
    const auto tokenizer = Tokenizer::create({.tokenizer_json = text,
                                              .tokenizer_config = &each["tokenizer_config"],
                                              .config = &each["config"]});
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    EXPECT_EQ(*tokenizer->encode("a"), each["ids"].get<Ids>());
    EXPECT_EQ(tokenizer->adds_bos(), each["ids"].size() == 2);
  }
}

TEST(TokenizerFiles, TokenizerJsonWins) {
  const Golden golden("tokenizer");
  const std::string model = read_golden(std::string(kFolder) + "bpe.model");
  const Tokenizer tokenizer = *Tokenizer::create(
      {.tokenizer_json = golden.tokenizer_json, .file_name = "tokenizer.model", .file = model});
  EXPECT_EQ(tokenizer.vocab_size(), golden.expected["vocab_size"]);
}

TEST(TokenizerFiles, ARepeatedTokenOfAGgufFileWarns) {
  const json metadata = {{"tokenizer.ggml.model", "llama"},
                         {"tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "a", "a"}}};
  const auto tokenizer = Tokenizer::create({.gguf = &metadata});
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_THAT(tokenizer->warnings(), ElementsAre(HasSubstr("'a' has ids 3 and 4")));
  EXPECT_EQ(tokenizer->id("a"), 3);
  EXPECT_TRUE(FileGolden("gguf_t5").tokenizer()->warnings().empty());
}

TEST(TokenizerFiles, BrokenFilesSayWhatIsWrong) {
  const json gpt2 = {{"tokenizer_class", "GPT2Tokenizer"}};
  const json far = {{"added_tokens_decoder", {{"99999999", {{"content", "x"}}}}}};
  const std::string model = read_golden(std::string(kFolder) + "bpe.model");
  const struct {
    std::string name, data;
    const json* config;
    std::string message;
  } cases[] = {
      {"tokenizer.model", "", nullptr, "holds no pieces"},
      {"tokenizer.model", model.substr(0, model.size() / 2), nullptr, "do not add up"},
      {"tokenizer.model", model, &far, "far beyond"},
      {"tiktoken.model", "YQ== 0\nYg==\n", nullptr, "line 2: expected base64 and a rank"},
      {"tiktoken.model", "YQ== 0\n", nullptr, "has no rank"},
      {"tekken.json", "{}", nullptr, "missing field"},
      {"tokenizer.jsonl", "[\"a\"]", nullptr, "line 1: expected"},
      {"tokenizer.jsonl", "[\"a\", 1.0]", nullptr, "no byte token <0x00>"},
      {"rwkv_vocab_v20230424.txt", "1 'a' 2\n", nullptr, "line 1: expected an id"},
      {"vocab.bpe", "x", nullptr, "not the name of a tokenizer file"},
      {"vocab.json", "{}", nullptr, "known: GPT2Tokenizer, Qwen2Tokenizer"},
      {"vocab.json", "{}", &gpt2, "merges.txt is missing"},
      {"vocab.json", "[]", &gpt2, "vocab.json: "},
  };
  for (const auto& broken : cases) {
    const auto made = Tokenizer::create(
        {.file_name = broken.name, .file = broken.data, .tokenizer_config = broken.config});
    ASSERT_FALSE(made.ok()) << broken.name;
    EXPECT_THAT(made.error().message, HasSubstr(broken.message));
  }
}

}  // namespace
}  // namespace continuo::text

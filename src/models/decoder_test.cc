#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "models/families.h"

namespace continuo::models {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

json config_of(const std::string& model_type, const json& more = json::object()) {
  json config = {{"model_type", model_type},    {"vocab_size", 7},
                 {"hidden_size", 24},           {"num_hidden_layers", 5},
                 {"num_attention_heads", 4},    {"num_key_value_heads", 2},
                 {"intermediate_size", 10},     {"head_dim", 6},
                 {"max_position_embeddings", 9}};
  config.update(more);
  return config;
}

Result<std::unique_ptr<Model>> make(const std::string& model_type, const json& more = {}) {
  return create(config_of(model_type, more.is_null() ? json::object() : more),
                [](const std::string&) { return false; });
}

std::vector<std::string> mixers(const std::string& model_type, const json& more) {
  auto model = make(model_type, more);
  EXPECT_TRUE(model.ok()) << (model.ok() ? "" : model.error().message);
  return model.ok() ? (*model)->facts().mixers : std::vector<std::string>();
}

std::string refusal(const std::string& model_type, const json& more) {
  const auto model = make(model_type, more);
  return model.ok() ? "accepted" : model.error().message;
}

// Names of the checkpoint tensors a one-row step reads.
std::vector<std::string> tensors(const std::string& model_type, const json& more) {
  auto model = make(model_type, more);
  EXPECT_TRUE(model.ok()) << (model.ok() ? "" : model.error().message);
  if (!model.ok()) return {};
  auto graph = write_step(**model, {.rows = 1, .columns = 3, .slots = 2, .context = 8}, {});
  EXPECT_TRUE(graph.ok()) << (graph.ok() ? "" : graph.error().message);
  std::vector<std::string> names;
  if (graph.ok())
    for (const WeightSpec& spec : graph->weights)
      names.insert(names.end(), spec.sources.begin(), spec.sources.end());
  return names;
}

TEST(Decoder, TakesLayerTypesFromAListANumberOrLetters) {
  EXPECT_THAT(mixers("exaone4", {{"sliding_window", 3}, {"sliding_window_pattern", 2}}),
              ElementsAre("window 3", "attention", "window 3", "attention", "window 3"));
  EXPECT_THAT(mixers("exaone4", {{"sliding_window", 3}, {"sliding_window_pattern", "LG"}}),
              ElementsAre("window 3", "attention", "window 3", "attention", "attention"));
  EXPECT_THAT(mixers("gemma2", {{"sliding_window", 3},
                                {"layer_types",
                                 {"full_attention", "full_attention", "sliding_attention",
                                  "full_attention", "full_attention"}}}),
              ElementsAre("attention", "attention", "window 3", "attention", "attention"));
}

TEST(Decoder, AnAbsentKeyTakesTheDefaultAndNullMeansNone) {
  EXPECT_THAT(mixers("exaone4", {}), Contains("window 4096"));
  EXPECT_THAT(mixers("exaone4", {{"sliding_window", nullptr}}), Not(Contains("window 4096")));
  EXPECT_THAT(mixers("phi3", {{"sliding_window", nullptr}}), Not(Contains(HasSubstr("window"))));
}

TEST(Decoder, RefusesWhatItCannotDo) {
  EXPECT_THAT(refusal("gemma", {{"use_bidirectional_attention", true}}), HasSubstr("causal"));
  EXPECT_THAT(refusal("gemma2", {{"layer_types", {"full_attention"}}}),
              AllOf(HasSubstr("(5)"), HasSubstr("got 1")));
  EXPECT_THAT(refusal("cohere2", {{"layer_types", json::array({"a", "b", "c", "d", "e"})}}),
              HasSubstr("\"a\""));
  EXPECT_THAT(refusal("exaone4", {{"sliding_window_pattern", "LXG"}}), HasSubstr("LXG"));
  EXPECT_THAT(
      refusal("gemma2", {{"sliding_window", nullptr},
                         {"layer_types", std::vector<std::string>(5, "sliding_attention")}}),
      HasSubstr("no sliding_window"));
  EXPECT_THAT(refusal("llama", {{"num_key_value_heads", 3}}), HasSubstr("to divide"));
  EXPECT_THAT(refusal("gemma2", {{"sliding_window", -1}}), HasSubstr("-1"));
  EXPECT_THAT(refusal("phi3", {{"rope_scaling", {{"type", "linear"}, {"factor", 2}}}}),
              HasSubstr("linear"));
  EXPECT_THAT(refusal("smollm3", {{"no_rope_layers", {1, 0}}}), HasSubstr("at least 5"));
  EXPECT_THAT(refusal("smollm3", {{"use_sliding_window", true}, {"sliding_window", 3}}),
              HasSubstr("layer_types"));
  EXPECT_THAT(refusal("granite", {{"logits_scaling", 0}}), HasSubstr("logits_scaling"));
  EXPECT_THAT(refusal("olmo2", {{"clip_qkv", 8}}), HasSubstr("clip_qkv"));
}

TEST(StableLm, NormsEachHeadAndRunsBranchesSideBySide) {
  const std::string second_norm = "model.layers.0.post_attention_layernorm.weight";
  const std::string head_norm = "model.layers.0.self_attn.k_layernorm.norms.1.weight";
  EXPECT_THAT(tensors("stablelm", {{"partial_rotary_factor", 0.5}, {"head_dim", 8}}),
              AllOf(Contains(second_norm), Not(Contains(head_norm))));
  EXPECT_THAT(tensors("stablelm", {{"partial_rotary_factor", 0.5},
                                   {"head_dim", 8},
                                   {"qk_layernorm", true},
                                   {"use_parallel_residual", true}}),
              AllOf(Contains(head_norm), Not(Contains(second_norm))));
}

TEST(Cohere, NormsEachHeadByOption) {
  const std::string norm = "model.layers.4.self_attn.q_norm.weight";
  EXPECT_THAT(tensors("cohere", {}), Not(Contains(norm)));
  EXPECT_THAT(tensors("cohere", {{"use_qk_norm", true}}), Contains(norm));
}

TEST(Gemma3, ReadsTheShortTextConfigOfAMultimodalCheckpoint) {
  const json config = {{"model_type", "gemma3"},
                       {"text_config",
                        {{"model_type", "gemma3_text"},
                         {"hidden_size", 2560},
                         {"intermediate_size", 10240},
                         {"num_hidden_layers", 7},
                         {"rope_scaling", {{"factor", 8.0}, {"rope_type", "linear"}}},
                         {"sliding_window", 1024}}}};
  auto model = create(config, [](const std::string& name) {
    return name == "language_model.model.embed_tokens.weight";
  });
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ((*model)->facts().vocab, 262208);
  EXPECT_EQ((*model)->facts().mixers[5], "attention");
  EXPECT_EQ((*model)->facts().mixers[6], "window 1024");
}

}  // namespace
}  // namespace continuo::models

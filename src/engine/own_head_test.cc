#include "engine/own_head.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/safetensors_test_files.h"
#include "engine/loaded_model.h"

namespace continuo::engine {
namespace {

using checkpoint::testing_files::Builder;
using checkpoint::testing_files::Folder;
using testing::ElementsAre;

constexpr int64_t kVocab = 7, kHidden = 4;
constexpr char kEmbedding[] = "model.embed_tokens.weight", kHead[] = "lm_head.weight";

std::vector<float> numbers(float last) {
  std::vector<float> values(size_t(kVocab * kHidden), 0.5F);
  values.back() = last;
  return values;
}

// The tensors with `vocab` rows that a step of a tied llama reads, each of which is one array on
// the device. The headers need only the embedding and the head: no weight is read here.
std::vector<std::string> vocabulary_weights(const Builder& tensors) {
  const Folder folder;
  folder.write("config.json", R"({"model_type": "llama", "vocab_size": 7, "hidden_size": 4,
      "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 6,
      "tie_word_embeddings": true})");
  folder.write("model.safetensors", tensors.bytes());
  const auto checkpoint = checkpoint::open(folder.path());
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  const auto model = make_model(*checkpoint);
  EXPECT_TRUE(model.ok()) << model.error().message;
  const auto step = models::write_step(**model, {.rows = 1, .slots = 1, .context = 8}, {});
  std::vector<std::string> names;
  for (const ops::WeightSpec& weight : step->weights)
    if (weight.source_shape.rank() == 2 && weight.source_shape[0] == kVocab)
      names.insert(names.end(), weight.sources.begin(), weight.sources.end());
  return names;
}

Builder& add(Builder& tensors, const char* name, float last) {
  return tensors.add(name, "F32", {kVocab, kHidden}, numbers(last));
}

TEST(OwnHead, EqualOnesStayTiedAndAreStoredOnce) {
  Builder tensors;
  add(add(tensors, kHead, 1), kEmbedding, 1);
  EXPECT_THAT(vocabulary_weights(tensors), ElementsAre(kEmbedding));
}

TEST(OwnHead, OneThatDiffersCounts) {
  Builder tensors;
  add(add(tensors, kHead, 2), kEmbedding, 1);
  EXPECT_THAT(vocabulary_weights(tensors), testing::UnorderedElementsAre(kEmbedding, kHead));
}

TEST(OwnHead, WhateverIsThereServesBoth) {
  Builder embedding, head;
  EXPECT_THAT(vocabulary_weights(add(embedding, kEmbedding, 1)), ElementsAre(kEmbedding));
  EXPECT_THAT(vocabulary_weights(add(head, kHead, 1)), ElementsAre(kHead));
}

}  // namespace
}  // namespace continuo::engine

#include "models/model.h"

#include <fmt/format.h>

#include <limits>

#include "ops/sample.h"

namespace continuo::models {
namespace {

// Text models stand alone, or inside a multimodal checkpoint under one of these.
constexpr const char* kPrefixes[] = {"model.",
                                     "model.language_model.",
                                     "language_model.model.",
                                     "language_model.",
                                     "thinker.model.",
                                     "model.text_model.",
                                     "language.model.",
                                     "llm.model.",
                                     "transformer.",
                                     ""};
// What tells a text model's prefix. The final norms are for files without an embedding.
constexpr const char* kLandmarks[] = {"embed_tokens.weight", "norm.weight",
                                      "final_layernorm.weight", "final_norm.weight",
                                      "embedding_norm.weight"};

std::string find_prefix(const HasTensor& has) {
  for (const char* landmark : kLandmarks)
    for (const char* prefix : kPrefixes)
      if (has(std::string(prefix) + landmark)) return prefix;
  return "model.";
}

}  // namespace

Model::Model(const ConfigView& config, HasTensor has) : has_(std::move(has)) {
  facts_.model_type = config.text("model_type", "");
  facts_.vocab = config.size("vocab_size");
  facts_.hidden = config.size({"hidden_size", "d_model", "n_embd"});
  // Nemotron-H only lists its layers.
  const int64_t listed = static_cast<int64_t>(config.strings("layers_block_type").size());
  const Keys layers{"num_hidden_layers", "n_layer", "n_layers"};
  facts_.layers = listed > 0 ? config.size(layers, listed) : config.size(layers);
  if (facts_.layers > 4096)
    config.fail(fmt::format("num_hidden_layers: wanted at most 4096, got {}", facts_.layers));
  facts_.max_positions = config.size({"max_position_embeddings", "n_positions", "max_seq_len"}, 0);
  norm_eps_ = config.number(
      {"rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps", "norm_epsilon"}, 1e-6);
  prefix_ = find_prefix(has_);
  tied_ = config.flag("tie_word_embeddings", false);
}

std::string Model::layer_prefix(int64_t index) const {
  return fmt::format("{}layers.{}", prefix_, index);
}

std::string Model::state_name(int64_t index) { return fmt::format("layers.{}", index); }

Value Model::embed(Step& step) const {
  return embedding(step, embedding_tensor(), facts_.vocab, facts_.hidden);
}

Value Model::final_norm(Step& step, Value x) const {
  return rms_norm(step, x, prefix_ + "norm", norm_eps_);
}

std::string Model::head_name() const {
  // Where the text model is inside another, the head may be beside it.
  for (const char* name : {"lm_head", "language_model.lm_head", "model.lm_head", "thinker.lm_head",
                           "language.lm_head", "llm.lm_head"})
    if (has_(std::string(name) + ".weight")) return name;
  return "";
}

std::string Model::head_tensor() const {
  const std::string name = head_name();
  return name.empty() ? "" : name + ".weight";
}

std::string Model::embedding_tensor() const {
  const std::string own = embedding_name(), head = head_tensor();
  return tied_ && !head.empty() && !has_(own) ? head : own;
}

std::string Model::embedding_name() const { return prefix_ + "embed_tokens.weight"; }

bool Model::tied() const { return tied_ || (head_name().empty() && has_(embedding_name())); }

Value Model::head(Step& step, Value x) const {
  if (tied()) return embedding_head(step, x, embedding_tensor(), facts_.vocab);
  const std::string name = head_name();
  return linear(step, x, name.empty() ? "lm_head" : name, facts_.vocab);
}

namespace {

// -> [L+1,R,H]
Value layer_trace(const Model& model, Step& step, const std::vector<Value>& trace) {
  std::vector<Value> layers;
  for (size_t i = 0; i < trace.size(); ++i) {
    Value last = step.last_column(trace[i]);
    if (i + 1 == trace.size()) last = model.final_norm(step, last);
    layers.push_back(expand_dims(last, 0));
  }
  return concat(layers, 0);
}

SampleInputs sampling_of(Step& step) {
  const auto number = [&](RowField field) { return bitcast(step.field(field), DType::kF32); };
  const auto word = [&](int64_t i) { return expand_dims(step.field(RowField(kKeyField + i)), 1); };
  return {number(kTemperatureField), step.field(kTopKField), number(kTopPField), number(kMinPField),
          concat({word(0), word(1)}, 1)};
}

// x:[R,T,H] after the last layer, logits:[R,V] -> [R] i1: the row computed something to choose
// from. A prompt's earlier columns count as well: what they left in the state is no longer the
// prompt.
Value choosable(Step& step, Value x, Value logits) {
  // 2 where a logit is not a number, 0 where all are -inf.
  const Value some = compare(logits, Compare::kGt, -std::numeric_limits<double>::infinity());
  const Value kind = select(compare(logits, Compare::kEq, logits), convert(some, DType::kI32),
                            constant(logits.graph(), DType::kI32, 2));
  const Value fine = compare(reduce_max(kind, {1}), Compare::kEq, 1);
  return step.columns() == 1 ? fine : logical_and(fine, step.finite_rows(x));
}

void finish(const Model& model, Step& step, Value x, const std::vector<Value>& trace) {
  const Head head = step.shape().head;
  if (head == Head::kLayers) return step.finish(layer_trace(model, step, trace));
  const Value whole = x;
  if (head != Head::kAll) x = step.last_column(x);
  Value logits = model.head(step, model.final_norm(step, x));
  if (chooses_tokens(head)) {
    const Value tokens = head == Head::kArgmax
                             ? argmax(logits, -1)
                             : sample(logits, sampling_of(step), true, search_on(step.target()));
    const Value none = constant(step.graph(), DType::kI32, kNoToken);
    return step.finish(select(choosable(step, whole, logits), tokens, none), logits);
  }
  if (step.columns() > 1) {
    std::vector<int64_t> ones(static_cast<size_t>(logits.rank()), 1);
    ones[0] = step.rows();
    const Value nan = constant(step.graph(), DType::kF32, std::numeric_limits<double>::quiet_NaN());
    logits = select(reshape(step.finite_rows(whole), Shape(ones)), logits, nan);
  }
  step.finish(logits);
}

}  // namespace

Result<StepGraph> write_step(const Model& model, const StepShape& shape, const Target& target) {
  try {
    Step step(shape, target, model.has_tensor(), model.facts().vocab);
    Value x = model.embed(step);
    std::vector<Value> trace{x};
    for (int64_t i = 0; i < model.facts().layers; ++i) {
      step.graph().comment(fmt::format("layer {}", i));
      x = model.layer(step, i, x);
      trace.push_back(x);
    }
    step.graph().comment("head");
    finish(model, step, x, trace);
    return StepGraph{step.shape(), step.graph().text(), step.graph().arguments(), step.weights(),
                     step.state()};
  } catch (const CheckFailure& failure) {
    return error(ErrorCode::kInvalidArgument, "{} ({}): {}", model.facts().model_type,
                 model.facts().family, failure.what());
  }
}

}  // namespace continuo::models

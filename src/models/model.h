// Model: one family with one config. It writes the step graph; it never sees an executor and holds
// no weights.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "models/config_view.h"
#include "models/rope_config.h"
#include "ops/linear.h"
#include "ops/mlp.h"
#include "ops/norm.h"
#include "ops/self_attention.h"
#include "ops/step.h"

namespace continuo::models {

using namespace ops;  // families are written in the ops' vocabulary

using HasTensor = Step::HasTensor;

// What a caller may want to know without reading the config again.
struct Facts {
  std::string family, model_type;
  int64_t vocab = 0, hidden = 0, layers = 0;
  int64_t max_positions = 0;                // the config's; 0 = none given (recurrent families)
  std::optional<int64_t> rope_switches_at;  // StepShape::limit beyond it writes another graph
  std::vector<std::string> mixers;          // one a layer: "attention", "window 4096", "mamba2" ...
};

// The common shape of a decoder: embedding, layers, a norm, a head. Families override what differs.
// Immutable after construction; any thread.
class Model {
 public:
  // Reads vocab_size, hidden_size, num_hidden_layers, tie_word_embeddings, norm eps.
  Model(const ConfigView& config, HasTensor has);
  virtual ~Model() = default;

  const Facts& facts() const { return facts_; }
  const HasTensor& has_tensor() const { return has_; }

  // Whether the head reads the embedding: as the config says, and wherever there is no head.
  bool tied() const;
  // The tensor that embeds: the head's where the two are tied and the checkpoint has only that.
  std::string embedding_tensor() const;
  // The head's tensor, tied or not; "" where the checkpoint has none.
  std::string head_tensor() const;

  // x:[R,T,H] throughout; `last` has been cut to [R,H] where the head needs no more.
  virtual Value embed(Step& step) const;
  virtual Value layer(Step& step, int64_t index, Value x) const = 0;
  virtual Value final_norm(Step& step, Value x) const;
  virtual Value head(Step& step, Value x) const;  // [..., H] -> [..., V]

 protected:
  // The tensor name of a layer: "model.layers.3".
  std::string layer_prefix(int64_t index) const;
  // The state name of a layer: "layers.3".
  static std::string state_name(int64_t index);
  // The head's module; "" where the checkpoint has none.
  std::string head_name() const;
  virtual std::string embedding_name() const;  // the tensor, where there is one

  Facts facts_;
  HasTensor has_;
  std::string prefix_;  // "model.", "model.language_model.", "" ...: before embed_tokens
  double norm_eps_ = 1e-6;
  bool tied_ = false;  // what the config says; tied() is what holds
};

// A written step and what it wants.
struct StepGraph {
  StepShape shape;
  std::string text;                        // StableHLO module
  std::vector<graph::Argument> arguments;  // input, last if any, then weights and state
  std::vector<WeightSpec> weights;         // argument names are WeightSpec::name
  std::vector<StateSpec> state;            // argument names are "state." + StateSpec::name;
                                           // the last outputs are their next values
};
// A config that makes no sense as a graph is an error, not a crash.
Result<StepGraph> write_step(const Model& model, const StepShape& shape, const Target& target);

}  // namespace continuo::models

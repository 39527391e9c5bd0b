// Feed-forward layers.
#pragma once

#include <functional>
#include <string>

#include "ops/linear.h"

namespace continuo::ops {

using Activation = std::function<Value(Value)>;
// Hugging Face's `hidden_act` names; a check failure lists those known.
Activation activation(const std::string& name);

struct MlpNames {
  std::string gate = "gate_proj", up = "up_proj", down = "down_proj";
};

// down(act(gate(x)) * up(x)), tensors under PREFIX.
Value gated_mlp(Step& step, Value x, const std::string& prefix, int64_t inner,
                const Activation& act, Bias bias = Bias::kNone, const MlpNames& names = {});
// The same with gate and up in one tensor [2*inner, H], gate first.
Value fused_gated_mlp(Step& step, Value x, const std::string& gate_up, const std::string& down,
                      int64_t inner, const Activation& act, Bias bias = Bias::kNone);
// down(act(up(x)))
Value plain_mlp(Step& step, Value x, const std::string& up, const std::string& down, int64_t inner,
                const Activation& act, Bias bias = Bias::kNone);

}  // namespace continuo::ops

// What Qwen3-Next and Qwen3.5 share: gated delta nets, gated full attention every few layers, norms
// with 1 + w. Reference: transformers modeling_qwen3_next.py.
#pragma once

#include <string>
#include <vector>

#include "models/decoder.h"
#include "ops/delta_net.h"

namespace continuo::models {

class GatedDeltaHybrid : public Decoder {
 public:
  GatedDeltaHybrid(const ConfigView& config, HasTensor has);

 protected:
  // x:[R,T,H] through the layer's projections. prefix: "...linear_attn".
  struct Projected {
    Value qkv;                // [R,T,2*keys+values]: all q, all k, all v
    Value gate, decay, beta;  // [R,T,values], [R,T,value_heads] twice
  };
  virtual Projected project_linear(Step& step, Value x, const std::string& prefix) const = 0;

  DeltaNet net_;

 private:
  Value norm(Step& step, Value x, const std::string& name) const override;
  Value attend(Step& step, int64_t index, Value x) const override;
  Value linear_attention(Step& step, int64_t index, Value x) const;
  Value full_attention(Step& step, int64_t index, Value x) const;

  std::vector<std::string> types_;
};

}  // namespace continuo::models

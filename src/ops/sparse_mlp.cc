#include "ops/sparse_mlp.h"

namespace continuo::ops {

Value sparse_mlp(Step& step, Value x, const std::string& prefix, const SparseMlp& block) {
  const int64_t H = x.dim(-1), N = step.rows() * step.columns();
  const Value lines = reshape(x, {N, H});
  Router router = block.router;
  if (!block.choice_bias.empty())
    router.choice_bias = step.weight(prefix + "." + block.choice_bias, {block.experts});
  Routes routes = route(linear(step, lines, prefix + "." + block.gate, block.experts), router);
  routes.valid = reshape(step.valid(), {N});
  const ExpertBank bank = gated_experts(step, prefix + "." + block.bank, block.experts, H,
                                        block.inner, block.act, block.names);
  const Value mixed = reshape(mix_experts(step, lines, routes, bank), x.shape());
  if (block.shared_inner == 0) return mixed;
  Value shared = gated_mlp(step, x, prefix + "." + block.shared, block.shared_inner, block.act,
                           block.mlp_bias);
  if (!block.shared_gate.empty())
    shared = shared * sigmoid(linear(step, x, prefix + "." + block.shared_gate, 1));
  return mixed + shared;
}

}  // namespace continuo::ops

#include "ops/self_attention.h"

namespace continuo::ops {

Projected project_qkv(Step& step, Value x, const std::string& prefix, const SelfAttention& block) {
  const int64_t R = x.dim(0), T = x.dim(1), D = block.head_dim;
  const int64_t q_size = block.heads * D, kv_size = block.kv_heads * D;
  Projected parts;
  if (!block.qkv.empty()) {
    const Value all = linear(step, x, prefix + "." + block.qkv, q_size + 2 * kv_size, block.bias);
    const std::vector<Value> pieces = split(all, -1, {q_size, kv_size, kv_size});
    parts = {pieces[0], pieces[1], pieces[2]};
  } else {
    parts = {linear(step, x, prefix + "." + block.q, q_size, block.bias),
             linear(step, x, prefix + "." + block.k, kv_size, block.bias),
             linear(step, x, prefix + "." + block.v, kv_size, block.bias)};
  }
  return {reshape(parts.q, {R, T, block.heads, D}), reshape(parts.k, {R, T, block.kv_heads, D}),
          reshape(parts.v, {R, T, block.kv_heads, D})};
}

void prepare_qk(Step& step, Projected& parts, const SelfAttention& block) {
  if (block.qk_norm) {
    parts.q = block.qk_norm(parts.q, 'q');
    parts.k = block.qk_norm(parts.k, 'k');
  }
  if (!block.rope) return;
  const RopeTable& table = rope_table(step, *block.rope);
  parts.q = apply_rope(parts.q, table);
  parts.k = apply_rope(parts.k, table);
}

Value self_attention(Step& step, Value x, const std::string& prefix, const std::string& state,
                     const SelfAttention& block) {
  Projected parts = project_qkv(step, x, prefix, block);
  prepare_qk(step, parts, block);
  const Value mixed = attention(step, state, parts.q, parts.k, parts.v, block.options);
  return linear(step, mixed, prefix + "." + block.out, x.dim(-1), block.out_bias);
}

}  // namespace continuo::ops

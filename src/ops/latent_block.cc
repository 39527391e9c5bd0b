#include "ops/latent_block.h"

#include "ops/attention.h"
#include "ops/norm.h"

namespace continuo::ops {
namespace {

constexpr double kLatentNormEps = 1e-6;  // fixed in the references, whatever rms_norm_eps says

// [R,T,heads*(nope+rope)]
Value project_queries(Step& step, Value x, const std::string& prefix, const LatentBlock& block) {
  const int64_t size = block.heads * (block.nope_dim + block.rope_dim);
  if (block.q_rank == 0) return linear(step, x, prefix + ".q_proj", size);
  const Value low = linear(step, x, prefix + ".q_a_proj", block.q_rank, block.bias);
  return linear(step, rms_norm(step, low, prefix + ".q_a_layernorm", kLatentNormEps),
                prefix + ".q_b_proj", size);
}

}  // namespace

Value latent_block(Step& step, Value x, const std::string& prefix, const std::string& state,
                   const LatentBlock& block) {
  const int64_t R = x.dim(0), T = x.dim(1), H = block.heads, P = block.rope_dim;
  const Value projected = project_queries(step, x, prefix, block);
  const std::vector<Value> q =
      split(reshape(projected, {R, T, H, block.nope_dim + P}), -1, {block.nope_dim, P});
  const Value down = linear(step, x, prefix + ".kv_a_proj_with_mqa", block.kv_rank + P, block.bias);
  const std::vector<Value> kv = split(down, -1, {block.kv_rank, P});
  const Value latent = rms_norm(step, kv[0], prefix + ".kv_a_layernorm", kLatentNormEps);
  Value q_rope = q[1], k_rope = reshape(kv[1], {R, T, 1, P});
  if (block.rope) {
    const RopeTable& table = rope_table(step, *block.rope);
    q_rope = apply_rope(q_rope, table);
    k_rope = apply_rope(k_rope, table);
  }
  const int64_t up_dim = block.nope_dim + block.value_dim;
  const Value up =
      step.weight(prefix + ".kv_b_proj.weight", {H * up_dim, block.kv_rank}, step.target().weights);
  const Value mixed =
      latent_attention(step, state, q[0], q_rope, latent, k_rope,
                       reshape(up, {H, up_dim, block.kv_rank}), block.value_dim, block.scale);
  return linear(step, mixed, prefix + ".o_proj", x.dim(-1), block.bias);
}

}  // namespace continuo::ops

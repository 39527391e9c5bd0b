#include "ops/mamba2_mixer.h"

#include "ops/causal_conv.h"
#include "ops/norm.h"
#include "ops/ssd.h"

namespace continuo::ops {
namespace {

// softplus(dt + bias), limited; 0 in padding columns, which then leave the state alone.
Value time_steps(Step& step, Value dt, Value bias, const Mamba2Mixer& mixer) {
  Graph& graph = step.graph();
  dt = softplus(dt + bias);
  if (mixer.dt_min > 0) dt = maximum(dt, constant(graph, DType::kF32, mixer.dt_min));
  if (mixer.dt_max > 0) dt = minimum(dt, constant(graph, DType::kF32, mixer.dt_max));
  return select(expand_dims(step.valid(), 2), dt, constant(graph, DType::kF32, 0));
}

Value gate_and_norm(Step& step, Value y, Value z, const std::string& prefix,
                    const Mamba2Mixer& mixer) {
  if (mixer.norm == MixerNorm::kNone) return y * silu(z);
  const Value w = step.weight(prefix + ".norm.weight", {y.dim(-1)});
  if (mixer.norm == MixerNorm::kBeforeGate)
    return group_rms_norm(y, w, mixer.groups, mixer.norm_eps) * silu(z);
  return group_rms_norm(y * silu(z), w, mixer.groups, mixer.norm_eps);
}

}  // namespace

Value mamba2_mixer(Step& step, Value x, const std::string& prefix, const std::string& state,
                   const Mamba2Mixer& mixer) {
  const int64_t R = x.dim(0), T = x.dim(1), H = mixer.heads, P = mixer.head_dim;
  const int64_t G = mixer.groups, N = mixer.state_size, inner = H * P;
  check(G >= 1 && H % G == 0, "mamba2_mixer", "wanted {} groups to divide {} heads", G, H);
  const Value all = linear(step, x, prefix + ".in_proj", 2 * inner + 2 * G * N + H, mixer.in_bias);
  std::vector<Value> parts = split(all, -1, {inner, inner, G * N, G * N, H});  // z, x, B, C, dt
  check(mixer.in_scale.empty() || mixer.in_scale.size() == parts.size(), "mamba2_mixer",
        "wanted 5 multipliers, got {}", mixer.in_scale.size());
  for (size_t i = 0; i < mixer.in_scale.size(); ++i)
    parts[i] = parts[i] * double(mixer.in_scale[i]);
  const Value convolved =
      causal_conv(step, concat({parts[1], parts[2], parts[3]}, -1), prefix + ".conv1d",
                  mixer.kernel, mixer.conv_bias, state + ".conv", ConvActivation::kSilu);
  const std::vector<Value> xbc = split(convolved, -1, {inner, G * N, G * N});
  const Shape heads{H};
  const SsdResult scan =
      ssd(step, {reshape(xbc[0], {R, T, H, P}),
                 time_steps(step, parts[4], step.weight(prefix + ".dt_bias", heads), mixer),
                 -exp(step.weight(prefix + ".A_log", heads)), reshape(xbc[1], {R, T, G, N}),
                 reshape(xbc[2], {R, T, G, N}), step.weight(prefix + ".D", heads),
                 step.load_state(state + ".ssm", {G, N, H / G * P})});
  step.store_state(state + ".ssm", scan.state);
  const Value y = gate_and_norm(step, reshape(scan.y, {R, T, inner}), parts[0], prefix, mixer);
  return linear(step, y, prefix + ".out_proj", x.dim(-1), mixer.out_bias);
}

}  // namespace continuo::ops

#include "ops/mamba_mixer.h"

#include "ops/causal_conv.h"
#include "ops/norm.h"
#include "ops/selective_scan.h"

namespace continuo::ops {
namespace {

Value scan_norm(Step& step, Value x, const std::string& name, const MambaMixer& mixer) {
  switch (mixer.norm) {
    case ScanNorm::kNone:
      return x;
    case ScanNorm::kPlain:
      return rms_norm(x, mixer.norm_eps);
    case ScanNorm::kWeighted:
      break;
  }
  return rms_norm(step, x, name, mixer.norm_eps);
}

}  // namespace

Value mamba_mixer(Step& step, Value x, const std::string& prefix, const std::string& state,
                  const MambaMixer& mixer) {
  const int64_t D = mixer.inner, N = mixer.state_size, rank = mixer.dt_rank;
  const std::vector<Value> xz =
      split(linear(step, x, prefix + ".in_proj", 2 * D, mixer.proj_bias), -1, {D, D});
  const Value u = causal_conv(step, xz[0], prefix + ".conv1d", mixer.kernel, mixer.conv_bias,
                              state + ".conv", ConvActivation::kSilu);
  const std::vector<Value> parts =
      split(linear(step, u, prefix + ".x_proj", rank + 2 * N), -1, {rank, N, N});
  const Value rank_dt = scan_norm(step, parts[0], prefix + ".dt_layernorm", mixer);
  const Value dt = softplus(linear(step, rank_dt, prefix + ".dt_proj", D, Bias::kYes));
  const std::string a = prefix + ".A_log";
  const Value a_log = step.weight(WeightSpec{a, DType::kF32, {N, D}, {a}, {D, N}, true});
  const ScanResult scan = selective_scan(
      step, {u, select(expand_dims(step.valid(), 2), dt, constant(step.graph(), DType::kF32, 0)),
             -exp(a_log), scan_norm(step, parts[1], prefix + ".b_layernorm", mixer),
             scan_norm(step, parts[2], prefix + ".c_layernorm", mixer),
             step.weight(prefix + ".D", {D}), step.load_state(state + ".ssm", {N, D})});
  step.store_state(state + ".ssm", scan.state);
  return linear(step, scan.y * silu(xz[1]), prefix + ".out_proj", x.dim(-1), mixer.proj_bias);
}

}  // namespace continuo::ops

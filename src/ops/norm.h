// Normalisations over the last axis, in float32.
#pragma once

#include "ops/step.h"

namespace continuo::ops {

// x * rsqrt(mean(x^2) + eps). Zhang & Sennrich 2019.
Value rms_norm(Value x, double eps);
// ... * (offset + w); w:[D] or anything that broadcasts. offset 1: Gemma's (1 + w).
Value rms_norm(Value x, Value w, double eps, double offset = 0);
// (x - mean) * rsqrt(var + eps) (* w) (+ b); an empty Value leaves its part out. Ba et al. 2016.
Value layer_norm(Value x, Value w, Value b, double eps);
// x * rsqrt(sum(x^2) + eps): the delta rules' q and k.
Value l2_norm(Value x, double eps);
// rms_norm over groups of D/groups channels each, then * w:[D].
Value group_rms_norm(Value x, Value w, int64_t groups, double eps);

// With the weight's tensor NAME.weight (and NAME.bias): what families call.
Value rms_norm(Step& step, Value x, const std::string& name, double eps, double offset = 0);
Value layer_norm(Step& step, Value x, const std::string& name, double eps, bool bias);

}  // namespace continuo::ops

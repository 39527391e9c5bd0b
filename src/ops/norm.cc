#include "ops/norm.h"

namespace continuo::ops {

Value rms_norm(Value x, double eps) { return x * rsqrt(mean(square(x), {-1}, true) + eps); }

Value rms_norm(Value x, Value w, double eps, double offset) {
  return rms_norm(x, eps) * (offset == 0 ? w : w + offset);
}

Value layer_norm(Value x, Value w, Value b, double eps) {
  const Value centred = x - mean(x, {-1}, true);
  Value y = centred * rsqrt(mean(square(centred), {-1}, true) + eps);
  if (w.valid()) y = y * w;
  if (b.valid()) y = y + b;
  return y;
}

Value l2_norm(Value x, double eps) { return x * rsqrt(reduce_sum(square(x), {-1}, true) + eps); }

Value group_rms_norm(Value x, Value w, int64_t groups, double eps) {
  check(groups >= 1 && x.dim(-1) % groups == 0, "group_rms_norm",
        "wanted a last size that {} groups divide, got {}", groups, x.describe());
  std::vector<int64_t> sizes = x.shape().dims();
  sizes.back() /= groups;
  sizes.insert(sizes.end() - 1, groups);
  return reshape(rms_norm(reshape(x, Shape(sizes)), eps), x.shape()) * w;
}

Value rms_norm(Step& step, Value x, const std::string& name, double eps, double offset) {
  return rms_norm(x, step.weight(name + ".weight", {x.dim(-1)}), eps, offset);
}

Value layer_norm(Step& step, Value x, const std::string& name, double eps, bool bias) {
  const Shape shape{x.dim(-1)};
  const Value w = step.weight(name + ".weight", shape);
  return layer_norm(x, w, bias ? step.weight(name + ".bias", shape) : Value(), eps);
}

}  // namespace continuo::ops

#include "ops/rope.h"

#include <algorithm>
#include <cmath>

namespace continuo::ops {

Rope plain_rope(int64_t dims, double theta, bool interleaved) {
  check(dims >= 2 && dims % 2 == 0, "rope", "wanted an even number of dimensions, got {}", dims);
  check(theta > 0, "rope", "wanted theta > 0, got {}", theta);
  Rope rope{dims, {}, 1, interleaved};
  for (int64_t i = 0; i < dims / 2; ++i) {
    // The reference computes these in float32: 1 / theta^(2i/dims).
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(dims);
    rope.inv_freq.push_back(1.0f / static_cast<float>(std::pow(theta, double(exponent))));
  }
  return rope;
}

Rope linear_rope(Rope rope, double factor) {
  check(factor > 0, "rope", "linear scaling wants factor > 0, got {}", factor);
  for (float& frequency : rope.inv_freq) frequency /= static_cast<float>(factor);
  return rope;
}

Rope llama3_rope(Rope rope, double factor, double low, double high, double original) {
  check(factor > 0 && high > low && original > 0, "rope",
        "llama3 scaling wants factor > 0, high > low, original > 0, got {}, {}, {}, {}", factor,
        high, low, original);
  for (float& frequency : rope.inv_freq) {
    const double wavelength = 2 * M_PI / frequency;
    if (wavelength < original / high) continue;
    if (wavelength > original / low) {
      frequency = static_cast<float>(frequency / factor);
      continue;
    }
    const double smooth = (original / wavelength - low) / (high - low);
    frequency = static_cast<float>((1 - smooth) * frequency / factor + smooth * frequency);
  }
  return rope;
}

double yarn_mscale(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

Rope yarn_rope(Rope rope, const Yarn& yarn) {
  check(yarn.factor > 0 && yarn.original_positions > 0 && yarn.theta > 1, "rope",
        "yarn wants factor > 0, original positions > 0, theta > 1, got {}, {}, {}", yarn.factor,
        yarn.original_positions, yarn.theta);
  // The dimension whose wave turns `rotations` times over the original context.
  const auto dimension = [&](double rotations) {
    return double(rope.dims) * std::log(yarn.original_positions / (rotations * 2 * M_PI)) /
           (2 * std::log(yarn.theta));
  };
  double low = dimension(yarn.beta_fast), high = dimension(yarn.beta_slow);
  if (yarn.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, double(rope.dims - 1));
  if (low == high) high += 0.001;
  for (size_t i = 0; i < rope.inv_freq.size(); ++i) {
    const double ramp = std::clamp((double(i) - low) / (high - low), 0.0, 1.0);
    const double frequency = rope.inv_freq[i];
    rope.inv_freq[i] = static_cast<float>(frequency / yarn.factor * ramp + frequency * (1 - ramp));
  }
  if (yarn.attention_factor > 0)
    rope.scale = yarn.attention_factor;
  else if (yarn.mscale > 0 && yarn.mscale_all_dim > 0)
    rope.scale =
        yarn_mscale(yarn.factor, yarn.mscale) / yarn_mscale(yarn.factor, yarn.mscale_all_dim);
  else
    rope.scale = yarn_mscale(yarn.factor, 1);
  return rope;
}

Rope long_rope(Rope rope, const std::vector<float>& factors, double scale) {
  check(factors.size() == rope.inv_freq.size(), "rope", "longrope wants {} factors, got {}",
        rope.inv_freq.size(), factors.size());
  for (size_t i = 0; i < factors.size(); ++i) rope.inv_freq[i] /= factors[i];
  rope.scale = scale;
  return rope;
}

const RopeTable& rope_table(Step& step, const Rope& rope) {
  std::string key = fmt::format("{}/{}/{}", rope.dims, rope.scale, rope.interleaved);
  for (float frequency : rope.inv_freq) key += fmt::format(",{}", frequency);
  return step.rope_table(key, [&] {
    check(static_cast<int64_t>(rope.inv_freq.size()) * 2 == rope.dims, "rope",
          "wanted {} frequencies, got {}", rope.dims / 2, rope.inv_freq.size());
    const Value frequency = constant_f32(step.graph(), {rope.dims / 2}, rope.inv_freq);
    const Value angle = expand_dims(convert(step.positions(), DType::kF32), 2) * frequency;
    return RopeTable{cos(angle) * rope.scale, sin(angle) * rope.scale, rope.interleaved, rope.dims};
  });
}

Value apply_rope(Value x, const RopeTable& table) {
  check(x.rank() == 4 && table.dims <= x.dim(-1), "rope", "wanted x:[R,T,H,D>={}], got {}",
        table.dims, x.describe());
  const int64_t D = x.dim(-1), half = table.dims / 2;
  const Value turning = slice(x, -1, 0, table.dims), rest = slice(x, -1, table.dims, D);
  const Value cos = expand_dims(table.cos, 2), sin = expand_dims(table.sin, 2);  // [R,T,1,d/2]
  Value first, second;
  if (table.interleaved) {
    const Value pairs = reshape(turning, {x.dim(0), x.dim(1), x.dim(2), half, 2});
    first = reshape(slice(pairs, -1, 0, 1), {x.dim(0), x.dim(1), x.dim(2), half});
    second = reshape(slice(pairs, -1, 1, 2), {x.dim(0), x.dim(1), x.dim(2), half});
  } else {
    first = slice(turning, -1, 0, half);
    second = slice(turning, -1, half, table.dims);
  }
  const Value a = first * cos - second * sin, b = second * cos + first * sin;
  Value turned = table.interleaved ? reshape(concat({expand_dims(a, -1), expand_dims(b, -1)}, -1),
                                             turning.shape())
                                   : concat({a, b}, -1);
  return table.dims == D ? turned : concat({turned, rest}, -1);
}

}  // namespace continuo::ops

#include "engine/choose.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "ops/sample_math.h"

namespace continuo::engine {
namespace {

namespace math = ops::sampling;

static_assert(kSoftmaxBits == math::kWeightBits);

uint32_t order_key(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x), magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return 0;
  if (magnitude == 0) return 0x80000000;
  return bits >> 31 ? ~bits : bits | 0x80000000;
}

constexpr int32_t kLowest = math::kLowest * (1 << 24);  // Q24

// One row's logits at its temperature.
class Scaled {
 public:
  Scaled(std::span<const float> logits, float temperature)
      : logits_(logits),
        inverse_(float(1 << 24) /
                 std::clamp(temperature, math::kLeastTemperature, math::kMostTemperature)) {
    for (size_t i = 0; i < logits.size(); ++i)
      if (const uint32_t key = order_key(logits[i]); i == 0 || key > largest_key_) {
        largest_key_ = key;
        likeliest_ = static_cast<int32_t>(i);
      }
  }
  int32_t likeliest() const { return likeliest_; }
  size_t size() const { return logits_.size(); }
  uint32_t key(size_t i) const { return order_key(logits_[i]); }
  // (logit - largest) / temperature in Q24.
  int32_t below(size_t i) const {
    const float logit = logits_[i], largest = logits_[static_cast<size_t>(likeliest_)];
    if (key(i) == largest_key_) return 0;
    if (std::isnan(logit) || (std::isinf(logit) && logit < 0)) return kLowest;
    return static_cast<int32_t>(std::max((logit - largest) * inverse_, float(kLowest)));
  }
  uint64_t weight(size_t i) const {
    const auto e = math::exponential(static_cast<uint32_t>(-below(i)));
    return uint64_t{e.fraction} << (math::kWeightBits - 31) >> std::min(e.octaves, 63u);
  }

 private:
  std::span<const float> logits_;
  float inverse_;
  uint32_t largest_key_ = 0;
  int32_t likeliest_ = 0;
};

// The largest score, the lowest id among equals.
class Race {
 public:
  Race(const Scaled& row, std::array<uint32_t, 2> key) : row_(row), key_(key) {
    for (int zeros = 0; zeros <= 32; ++zeros)
      most_[size_t(zeros)] = int32_t(((zeros + 1) * M_LN2 + 4.001) * (1 << 24));
    winner_ = row.likeliest();
    best_ = score(winner_, hash(winner_));
  }
  void enter(int32_t id) {
    // The hash's leading zeros bound its noise: nearly all tokens are out of the race by them.
    const int32_t below = row_.below(static_cast<size_t>(id));
    if (below + most_[32] < best_) return;
    const uint32_t bits = hash(id);
    if (below + most_[size_t(std::countl_zero(bits))] < best_) return;
    const int32_t got = score(id, bits);
    if (got < best_ || (got == best_ && id >= winner_)) return;
    best_ = got;
    winner_ = id;
  }
  int32_t winner() const { return winner_; }

 private:
  uint32_t hash(int32_t id) const {
    return math::hash(key_[0], key_[1], static_cast<uint32_t>(id));
  }
  int32_t score(int32_t id, uint32_t bits) const {
    return row_.below(static_cast<size_t>(id)) + static_cast<int32_t>(math::gumbel(bits));
  }
  const Scaled& row_;
  std::array<uint32_t, 2> key_;
  std::array<int32_t, 33> most_;
  int32_t best_, winner_;
};

struct Candidate {
  uint32_t key;
  int32_t id;
  uint64_t weight;
};
bool likelier(const Candidate& a, const Candidate& b) { return a.key > b.key; }

uint32_t top_k_key(const Scaled& row, int32_t k) {
  if (k <= 0 || static_cast<size_t>(k) >= row.size()) return 0;
  std::vector<uint32_t> keys(row.size());
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = row.key(i);
  std::nth_element(keys.begin(), keys.begin() + (k - 1), keys.end(), std::greater<>());
  return keys[static_cast<size_t>(k) - 1];
}

// The largest key from which on the weights reach `p` of their sum: halving, not sorting.
uint32_t top_p_key(std::vector<Candidate>& all, float top_p) {
  if (!(top_p < 1)) return 0;
  uint64_t total = 0;
  for (const Candidate& each : all) total += each.weight;
  const auto p = static_cast<uint64_t>(top_p * 0x1p32f);
  const uint64_t wanted =
      std::max<uint64_t>((total >> 32) * p + ((total & 0xffffffff) * p >> 32), 1);
  uint64_t above = 0;
  auto first = all.begin(), last = all.end();
  while (last - first > 1) {
    const auto middle = first + (last - first) / 2;
    std::nth_element(first, middle, last, likelier);
    uint64_t upper = 0;
    for (auto each = first; each != middle; ++each) upper += each->weight;
    if (above + upper >= wanted) {
      last = middle;
    } else {
      above += upper;
      first = middle;
    }
  }
  return first->key;
}

std::vector<int32_t> kept(const Scaled& row, const SampleRow& params) {
  const uint32_t from_k = top_k_key(row, params.top_k);
  std::vector<Candidate> all;
  for (size_t i = 0; i < row.size(); ++i)
    if (const uint32_t key = row.key(i); key >= from_k)
      all.push_back({key, static_cast<int32_t>(i), row.weight(i)});
  const uint32_t from_p = top_p_key(all, params.top_p);
  const auto least = static_cast<uint64_t>(std::ldexp(params.min_p, math::kWeightBits));
  std::vector<int32_t> ids;
  for (const Candidate& each : all)
    if (each.key >= from_p && each.weight >= least) ids.push_back(each.id);
  return ids;
}

uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

std::array<uint32_t, 2> sample_key(uint64_t seed, int64_t choice, int64_t index) {
  constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;
  uint64_t state = mix(seed + kGolden);
  state = mix(state ^ mix(static_cast<uint64_t>(choice) * kGolden + 1));
  state = mix(state + static_cast<uint64_t>(index) * kGolden);
  return {static_cast<uint32_t>(state), static_cast<uint32_t>(state >> 32)};
}

SampleRow sample_row(const SamplingParams& params, int64_t choice, int64_t index) {
  if (params.temperature == 0) return {};
  SampleRow row;
  row.temperature = std::clamp(static_cast<float>(params.temperature), math::kLeastTemperature,
                               math::kMostTemperature);
  row.top_k =
      static_cast<int32_t>(std::min<int64_t>(params.top_k, std::numeric_limits<int32_t>::max()));
  row.top_p = std::max(static_cast<float>(params.top_p), std::numeric_limits<float>::min());
  row.min_p = static_cast<float>(params.min_p);
  row.key = sample_key(params.seed.value_or(0), choice, index);
  return row;
}

bool truncates(const SamplingParams& params) {
  return params.temperature > 0 && (params.top_k > 0 || params.top_p < 1 || params.min_p > 0);
}

uint32_t likelihood_key(float logit) { return order_key(logit); }

uint64_t softmax_total(std::span<const float> logits) {
  if (logits.empty()) return 0;
  const Scaled scaled(logits, 1);
  uint64_t total = 0;
  for (size_t i = 0; i < logits.size(); ++i) total += scaled.weight(i);
  return total;
}

int32_t choose(std::span<const float> logits, const SampleRow& row) {
  const Scaled scaled(logits, row.temperature);
  if (row.temperature == 0) return scaled.likeliest();
  Race race(scaled, row.key);
  if (row.top_k > 0 || row.top_p < 1 || row.min_p > 0) {
    for (const int32_t id : kept(scaled, row)) race.enter(id);
  } else {
    for (size_t i = 0; i < logits.size(); ++i) race.enter(static_cast<int32_t>(i));
  }
  return race.winner();
}

}  // namespace continuo::engine

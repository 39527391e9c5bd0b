#include <algorithm>
#include <cmath>
#include <map>

#include "engine/penalties.h"

namespace continuo::engine {
namespace {

// length[k]: of the longest common prefix of `x` and `x` from k on (Gusfield's Z-algorithm), k > 0.
std::vector<int64_t> common_prefixes(std::span<const int32_t> x) {
  const auto n = static_cast<int64_t>(x.size());
  std::vector<int64_t> length(x.size(), 0);
  int64_t left = 0, right = 0;  // x[left, right) equals a prefix; the furthest such
  for (int64_t k = 1; k < n; ++k) {
    int64_t& here = length[size_t(k)];
    if (k < right) here = std::min(right - k, length[size_t(k - left)]);
    while (k + here < n && x[size_t(here)] == x[size_t(k + here)]) ++here;
    if (k + here > right) {
      left = k;
      right = k + here;
    }
  }
  return length;
}

}  // namespace

std::vector<std::pair<int32_t, float>> dry_penalties(const SamplingParams& params,
                                                     std::span<const int32_t> history) {
  if (params.dry_penalty_last_n >= 0)
    history = history.last(
        static_cast<size_t>(std::min<int64_t>(params.dry_penalty_last_n, int64_t(history.size()))));
  const auto is_breaker = [&](int32_t token) {
    return std::find(params.dry_breakers.begin(), params.dry_breakers.end(), token) !=
           params.dry_breakers.end();
  };
  const std::vector<int32_t> reversed(history.rbegin(), history.rend());
  const int64_t limit =
      std::find_if(reversed.begin(), reversed.end(), is_breaker) - reversed.begin();
  if (limit < params.dry_allowed_length) return {};

  // reversed[k - 1] came after a repetition of the last length[k] tokens.
  const std::vector<int64_t> length = common_prefixes(reversed);
  std::map<int32_t, int64_t> longest;
  for (size_t k = 1; k < reversed.size(); ++k) {
    const int64_t repeated = std::min(length[k], limit);
    if (repeated < params.dry_allowed_length || is_breaker(reversed[k - 1])) continue;
    int64_t& known = longest[reversed[k - 1]];
    known = std::max(known, repeated);
  }
  std::vector<std::pair<int32_t, float>> penalties;
  const double most = 88.7228391;  // ln of the largest float32
  for (const auto& [token, repeated] : longest) {
    double exponent = double(repeated - params.dry_allowed_length);
    if (params.dry_base > 1.000001)
      exponent = std::min(exponent, std::floor(most / std::log(params.dry_base)));
    penalties.emplace_back(
        token, static_cast<float>(params.dry_multiplier * std::pow(params.dry_base, exponent)));
  }
  return penalties;
}

}  // namespace continuo::engine

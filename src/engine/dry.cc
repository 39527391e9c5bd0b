#include "engine/dry.h"

#include <algorithm>
#include <cmath>
#include <map>

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

Dry::Dry(const SamplingParams& params, std::span<const int32_t> history)
    : multiplier_(params.dry_multiplier),
      base_(params.dry_base),
      allowed_length_(params.dry_allowed_length),
      last_n_(params.dry_penalty_last_n),
      history_(history.begin(), history.end()) {
  for (const int32_t token : params.dry_breakers) {
    if (token < 0) continue;
    breaks_.resize(std::max(breaks_.size(), static_cast<size_t>(token) + 1), false);
    breaks_[static_cast<size_t>(token)] = true;
  }
  for (int64_t place = 0; place < size(); ++place)
    places_[history_[static_cast<size_t>(place)]].push_back(place);
  find_repetitions();
}

// The first token that is looked back at.
int64_t Dry::window_start() const {
  return last_n_ < 0 ? 0 : std::max<int64_t>(0, size() - last_n_);
}

// From nothing: once, after the prompt.
void Dry::find_repetitions() {
  const auto first = history_.begin() + std::ptrdiff_t(window_start());
  const std::vector<int32_t> reversed(history_.rbegin(), std::make_reverse_iterator(first));
  unbroken_ = std::find_if(history_.rbegin(), history_.rend(),
                           [&](int32_t token) { return breaks(token); }) -
              history_.rbegin();
  const std::vector<int64_t> length = common_prefixes(reversed);
  for (size_t k = 1; k < length.size() && repetitions_.size() < kMostPlaces; ++k)
    if (const int64_t repeated = std::min(length[k], unbroken_); repeated > 0)
      repetitions_.push_back({size() - static_cast<int64_t>(k), repeated});
}

void Dry::accept(int32_t token) {
  std::vector<int64_t>& places = places_[token];
  std::vector<Repetition> next;
  unbroken_ = breaks(token) ? 0 : unbroken_ + 1;
  const size_t most = unbroken_ == 0 ? 0 : std::min(places.size(), kMostPlaces);
  auto known = repetitions_.begin();
  for (size_t i = 0; i < most; ++i) {
    const int64_t place = places[places.size() - 1 - i];
    while (known != repetitions_.end() && known->place > place) ++known;
    const bool prolongs = known != repetitions_.end() && known->place == place;
    next.push_back({place + 1, prolongs ? known->length + 1 : 1});
  }
  repetitions_ = std::move(next);
  places.push_back(size());
  history_.push_back(token);
}

std::vector<std::pair<int32_t, float>> Dry::penalties() const {
  const int64_t start = window_start();
  if (std::min(unbroken_, size() - start) < allowed_length_) return {};
  std::map<int32_t, int64_t> longest;
  const auto note = [&](int64_t place, int64_t repeated) {
    const int32_t token = history_[static_cast<size_t>(place)];
    if (breaks(token)) return;
    int64_t& known = longest[token];
    known = std::max(known, repeated);
  };
  const int64_t nearby = std::max(start, size() - 1 - static_cast<int64_t>(kMostPlaces));
  for (int64_t place = size() - 1; allowed_length_ == 0 && place > nearby; --place) note(place, 0);
  for (const Repetition& each : repetitions_)
    if (const int64_t repeated = std::min(each.length, each.place - start);
        repeated > 0 && repeated >= allowed_length_)
      note(each.place, repeated);

  std::vector<std::pair<int32_t, float>> penalties;
  const double most = 88.7228391;  // ln of the largest float32
  for (const auto& [token, repeated] : longest) {
    double exponent = double(repeated - allowed_length_);
    if (base_ > 1.000001) exponent = std::min(exponent, std::floor(most / std::log(base_)));
    penalties.emplace_back(token, static_cast<float>(multiplier_ * std::pow(base_, exponent)));
  }
  return penalties;
}

}  // namespace continuo::engine

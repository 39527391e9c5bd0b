#include "ops/moe.h"

#include <gtest/gtest.h>

#include <limits>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ops/mlp.h"
#include "ops/test_step.h"

namespace continuo::ops {
namespace {

using runtime::f32;
using runtime::floats;
using runtime::max_difference;
using runtime::random_f32;

// --- choosing ---

struct Chosen {
  std::vector<int32_t> experts;
  std::vector<float> weights;
};

// The k best of `scores`, best first, the lower index first where equal.
std::vector<size_t> best_of(const std::vector<double>& scores, size_t k) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  order.resize(k);
  return order;
}

std::vector<double> softmax_of(const std::vector<double>& x) {
  double sum = 0;
  std::vector<double> y;
  for (double each : x) sum += std::exp(each);
  for (double each : x) y.push_back(std::exp(each) / sum);
  return y;
}

// Choice scores of experts outside the best groups become -inf.
void limit(std::vector<double>& choice, const Router& router) {
  const size_t groups = size_t(router.groups), width = choice.size() / groups;
  std::vector<double> group_scores;
  for (size_t g = 0; g < groups; ++g) {
    std::vector<double> members(choice.begin() + long(g * width),
                                choice.begin() + long((g + 1) * width));
    std::sort(members.rbegin(), members.rend());
    group_scores.push_back(router.group_by_top2 && width > 1 ? members[0] + members[1]
                                                             : members[0]);
  }
  const auto kept = best_of(group_scores, size_t(router.top_groups));
  for (size_t e = 0; e < choice.size(); ++e)
    if (std::find(kept.begin(), kept.end(), e / width) == kept.end()) choice[e] = -INFINITY;
}

Chosen plain_route(const std::vector<double>& logits, const std::vector<float>& bias,
                   const Router& router) {
  std::vector<double> scores = softmax_of(logits), choice;
  if (router.scoring == Scoring::kSoftmaxOfChosen) scores = logits;
  if (router.scoring == Scoring::kSigmoid)
    for (size_t e = 0; e < logits.size(); ++e) scores[e] = 1 / (1 + std::exp(-logits[e]));
  choice = scores;
  for (size_t e = 0; e < bias.size(); ++e) choice[e] += bias[e];
  if (router.groups > 1) limit(choice, router);
  std::vector<double> weights;
  Chosen chosen;
  for (size_t e : best_of(choice, size_t(router.top_k))) {
    chosen.experts.push_back(int32_t(e));
    weights.push_back(scores[e]);
  }
  if (router.scoring == Scoring::kSoftmaxOfChosen) weights = softmax_of(weights);
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double weight : weights)
    chosen.weights.push_back(float(weight / (router.normalise ? sum : 1) * router.scale));
  return chosen;
}

void expect_routes(Router router, bool biased) {
  constexpr int64_t N = 9, E = 12;
  const HostTensor logits = random_f32({N, E}, 11, -2, 2), bias = random_f32({E}, 12, -0.4f, 0.4f);
  TestStep test({.rows = 1, .columns = N, .slots = 1, .context = N});
  const Value x = test.input("logits", random_f32({N, E}, 11, -2, 2));
  if (biased) router.choice_bias = test.input("bias", random_f32({E}, 12, -0.4f, 0.4f));
  const Routes routes = route(x, router);
  test.step.graph().output(routes.experts);
  const auto results = test.run(routes.weights);
  Chosen wanted;
  for (int64_t n = 0; n < N; ++n) {
    const auto row = logits.as<float>().subspan(size_t(n * E), size_t(E));
    const Chosen one =
        plain_route({row.begin(), row.end()}, biased ? floats(bias) : std::vector<float>{}, router);
    wanted.experts.insert(wanted.experts.end(), one.experts.begin(), one.experts.end());
    wanted.weights.insert(wanted.weights.end(), one.weights.begin(), one.weights.end());
  }
  const auto experts = results[0].as<int32_t>();
  EXPECT_EQ(std::vector<int32_t>(experts.begin(), experts.end()), wanted.experts);
  EXPECT_LE(max_difference(floats(results[1]), wanted.weights), 1e-6);
}

TEST(Route, Softmax) {
  expect_routes({.top_k = 3}, false);
  expect_routes({.top_k = 3, .normalise = true, .scale = 2.5}, false);
  expect_routes({.top_k = 12}, true);
}

TEST(Route, SoftmaxOfChosen) {
  expect_routes({.top_k = 4, .scoring = Scoring::kSoftmaxOfChosen}, false);
  expect_routes({.top_k = 1, .scoring = Scoring::kSoftmaxOfChosen, .scale = 3}, false);
}

TEST(Route, SigmoidWithABiasThatOnlyChooses) {
  expect_routes({.top_k = 5, .scoring = Scoring::kSigmoid}, true);
  expect_routes({.top_k = 5, .scoring = Scoring::kSigmoid, .normalise = true, .scale = 1.5}, true);
}

TEST(Route, GroupLimit) {
  Router router{.top_k = 3, .scoring = Scoring::kSigmoid, .groups = 4, .top_groups = 2};
  expect_routes(router, true);
  expect_routes(router, false);
  router.group_by_top2 = false;
  expect_routes(router, true);
  router.scoring = Scoring::kSoftmax;
  router.normalise = true;
  expect_routes(router, false);
  router.groups = 12;  // one expert a group
  router.top_groups = 5;
  router.group_by_top2 = true;
  expect_routes(router, false);
}

TEST(Route, RefusesNonsense) {
  Graph g;
  const Value logits = g.argument("logits", DType::kF32, {3, 10});
  EXPECT_THROW(route(logits, {.top_k = 11}), CheckFailure);
  EXPECT_THROW(route(logits, {.top_k = 2, .groups = 3, .top_groups = 1}), CheckFailure);
}

// --- computing ---

struct MixCase {
  int64_t tokens, experts, k, hidden, inner;
  bool fused = false, biased = false, out_in = false, skewed = false;
  std::vector<int64_t> padding;  // tokens that are not valid
};

struct MixData {
  HostTensor x, weights, gate_up, down, in_bias, out_bias;
  std::vector<int32_t> experts;  // [N*k]
};

// gate_up: [E, 2*inner, hidden], down: [E, hidden, inner], as a checkpoint has them.
MixData make_data(const MixCase& c) {
  MixData data{random_f32({c.tokens, c.hidden}, 1),
               random_f32({c.tokens, c.k}, 2, 0, 1),
               random_f32({c.experts, 2 * c.inner, c.hidden}, 3),
               random_f32({c.experts, c.hidden, c.inner}, 4),
               random_f32({c.experts, 2 * c.inner}, 5),
               random_f32({c.experts, c.hidden}, 6),
               {}};
  for (int64_t n = 0; n < c.tokens; ++n)
    for (int64_t j = 0; j < c.k; ++j)  // all different; the last expert stays idle where it can
      data.experts.push_back(
          int32_t((c.skewed ? j : n * n + 3 * n + j) % std::max(c.k, c.experts - 1)));
  return data;
}

std::vector<float> plain_mix(const MixCase& c, const MixData& data) {
  const size_t H = size_t(c.hidden), I = size_t(c.inner), k = size_t(c.k);
  std::vector<float> result(size_t(c.tokens) * H);
  const auto at = [](const HostTensor& tensor, size_t i) { return double(tensor.as<float>()[i]); };
  for (size_t route = 0; route < data.experts.size(); ++route) {
    const size_t n = route / k, e = size_t(data.experts[route]);
    if (std::find(c.padding.begin(), c.padding.end(), int64_t(n)) != c.padding.end()) continue;
    std::vector<double> inner(2 * I);
    for (size_t i = 0; i < 2 * I; ++i) {
      inner[i] = c.biased ? at(data.in_bias, e * 2 * I + i) : 0;
      for (size_t h = 0; h < H; ++h)
        inner[i] += at(data.gate_up, (e * 2 * I + i) * H + h) * at(data.x, n * H + h);
    }
    for (size_t h = 0; h < H; ++h) {
      double y = c.biased ? at(data.out_bias, e * H + h) : 0;
      for (size_t i = 0; i < I; ++i)
        y += at(data.down, (e * H + h) * I + i) * inner[i] / (1 + std::exp(-inner[i])) *
             inner[I + i];
      result[n * H + h] += float(y * at(data.weights, route));
    }
  }
  return result;
}

// Rows [begin, end) of every matrix of `tensor`:[E,out,in], in the device's layout.
HostTensor device_matrix(const HostTensor& tensor, int64_t begin, int64_t end, bool out_in) {
  const int64_t E = tensor.shape()[0], all = tensor.shape()[1], in = tensor.shape()[2];
  const int64_t out = end - begin;
  HostTensor result(DType::kF32, out_in ? Shape{E, out, in} : Shape{E, in, out});
  for (int64_t e = 0; e < E; ++e)
    for (int64_t o = 0; o < out; ++o)
      for (int64_t i = 0; i < in; ++i)
        result.as<float>()[size_t(out_in ? (e * out + o) * in + i : (e * in + i) * out + o)] =
            tensor.as<float>()[size_t((e * all + begin + o) * in + i)];
  return result;
}

HostTensor device_bias(const HostTensor& tensor, int64_t begin, int64_t end) {
  const int64_t E = tensor.shape()[0], all = tensor.shape()[1];
  HostTensor result(DType::kF32, {E, end - begin});
  for (int64_t e = 0; e < E; ++e)
    for (int64_t o = begin; o < end; ++o)
      result.as<float>()[size_t(e * (end - begin) + o - begin)] =
          tensor.as<float>()[size_t(e * all + o)];
  return result;
}

ExpertBank make_bank(TestStep& test, const MixCase& c, const MixData& data) {
  const int64_t I = c.inner, parts = c.fused ? 1 : 2, width = 2 * I / parts;
  ExpertBank bank;
  for (int64_t part = 0; part < parts; ++part) {
    const std::string name = "in" + std::to_string(part);
    const int64_t begin = part * width, end = begin + width;
    bank.in.push_back({test.input(name, device_matrix(data.gate_up, begin, end, c.out_in)),
                       c.hidden, width, c.out_in});
    if (c.biased)
      bank.in_bias.push_back(test.input(name + "_bias", device_bias(data.in_bias, begin, end)));
  }
  bank.out = {test.input("out", device_matrix(data.down, 0, c.hidden, c.out_in)), I, c.hidden,
              c.out_in};
  if (c.biased) bank.out_bias = test.input("out_bias", device_bias(data.out_bias, 0, c.hidden));
  bank.combine = [I, fused = c.fused](const std::vector<Value>& inner) {
    const auto halves = fused ? split(inner[0], -1, {I, I}) : inner;
    return silu(halves[0]) * halves[1];
  };
  return bank;
}

void expect_mix(const MixCase& c, const std::vector<std::string>& kernels) {
  const MixData data = make_data(c);
  Target target;
  target.kernels = kernels;
  TestStep test({.rows = 1, .columns = c.tokens, .slots = 1, .context = c.tokens}, target);
  const Value x = test.input("x", f32({c.tokens, c.hidden}, floats(data.x)));
  Routes routes{test.input("experts", runtime::i32({c.tokens, c.k}, data.experts)),
                test.input("weights", f32({c.tokens, c.k}, floats(data.weights))),
                {}};
  if (!c.padding.empty()) {
    std::vector<int32_t> valid(size_t(c.tokens), 1);
    for (int64_t n : c.padding) valid[size_t(n)] = 0;
    routes.valid = compare(test.input("valid", runtime::i32({c.tokens}, valid)), Compare::kGt, 0);
  }
  const ExpertBank bank = make_bank(test, c, data);
  test.step.graph().output(mix_experts(test.step, x, routes, bank));
  const auto results = test.run(naive_mix_experts(test.step, x, routes, bank));
  const std::vector<float> wanted = plain_mix(c, data);
  EXPECT_LE(max_difference(floats(results[0]), wanted), 2e-5);
  EXPECT_LE(max_difference(floats(results[1]), wanted), 2e-5);
}

// In plain StableHLO, and with the kernels of the executor.
void expect_mix(const MixCase& c) {
  expect_mix(c, {});
  if (c.out_in) expect_mix(c, runtime::test_executor().target().kernels);
}

TEST(MixExperts, BlocksOfOne) {
  expect_mix({1, 5, 2, 6, 3});
  expect_mix({1, 2, 2, 6, 3});
  expect_mix({4, 9, 3, 7, 5, false, true});
  expect_mix({3, 1, 1, 6, 4});
}

TEST(MixExperts, LargerBlocks) {
  expect_mix({7, 5, 3, 6, 4});               // blocks of 4
  expect_mix({40, 3, 2, 6, 5, true, true});  // blocks of 16
  expect_mix({150, 2, 1, 5, 3});             // blocks of 64
}

TEST(MixExperts, FusedMatricesBiasesAndLayouts) {
  for (bool fused : {false, true})
    for (bool biased : {false, true})
      for (bool out_in : {false, true}) expect_mix({11, 4, 2, 6, 5, fused, biased, out_in});
}

TEST(MixExperts, AllTokensToTheSameExperts) {
  expect_mix({13, 4, 2, 6, 5, false, false, false, true});
  expect_mix({3, 8, 2, 6, 5, false, false, false, true});
}

TEST(MixExperts, ALoneBlock) {
  for (bool out_in : {false, true}) {
    expect_mix({1, 5, 1, 6, 3, false, true, out_in});
    expect_mix({1, 5, 1, 6, 3, true, false, out_in, false, {0}});
  }
}

// A token that is not a number, or padding that is none, reaches no other token.
TEST(MixExperts, TokensStayApart) {
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              infinity = std::numeric_limits<float>::infinity();
  const MixCase c{11, 4, 2, 6, 5, false, true, true, false, {0, 7}};
  const auto run = [&](bool spoilt) {
    MixData data = make_data(c);
    for (const int64_t n : {int64_t{0}, int64_t{3}, int64_t{7}})
      for (int64_t h = 0; spoilt && h < c.hidden; ++h)
        data.x.as<float>()[size_t(n * c.hidden + h)] = h % 2 == 0 ? nan : infinity;
    Target target;
    target.kernels = runtime::test_executor().target().kernels;
    TestStep test({.rows = 1, .columns = c.tokens, .slots = 1, .context = c.tokens}, target);
    std::vector<int32_t> valid(size_t(c.tokens), 1);
    for (const int64_t n : c.padding) valid[size_t(n)] = 0;
    const Value x = test.input("x", f32({c.tokens, c.hidden}, floats(data.x)));
    const Routes routes{
        test.input("experts", runtime::i32({c.tokens, c.k}, data.experts)),
        test.input("weights", f32({c.tokens, c.k}, floats(data.weights))),
        compare(test.input("valid", runtime::i32({c.tokens}, valid)), Compare::kGt, 0)};
    return floats(test.run(mix_experts(test.step, x, routes, make_bank(test, c, data)))[0]);
  };
  const std::vector<float> healthy = run(false), got = run(true);
  for (size_t i = 0; i < got.size(); ++i) {
    const int64_t n = int64_t(i) / c.hidden;
    if (n == 3)
      EXPECT_TRUE(std::isnan(got[i])) << i;
    else
      EXPECT_EQ(got[i], healthy[i]) << i;
  }
}

TEST(MixExperts, PaddingCostsNothingAndComesOutAsZero) {
  expect_mix({11, 4, 2, 6, 5, false, true, false, false, {0, 7, 10}});
  expect_mix({2, 6, 3, 6, 5, true, true, true, false, {1}});
  expect_mix({3, 6, 3, 6, 5, false, false, false, false, {0, 1, 2}});
}

}  // namespace
}  // namespace continuo::ops

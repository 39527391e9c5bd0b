#include "ops/attention.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <span>

#include "ops/test_step.h"

namespace continuo::ops {
namespace {

using runtime::floats;
using runtime::max_difference;
using runtime::random_f32;

constexpr int64_t kHq = 4, kHk = 2, kD = 5, kDv = 6;
// What a freed slot may hold: keys anything, values anything finite (attention stores no other).
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kKeyPoison[] = {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity,
                                3e38f};
constexpr float kValuePoison[] = {3e38f, -3e38f};

struct Case {
  StepShape shape;
  std::vector<int32_t> slot, start, length;
  AttentionOptions options;
  bool sinks = false;
  Target target;
};

// The spellings: plain StableHLO; a loop over blocks of 4 positions; a kernel where there is one.
std::vector<Target> spellings(const Target& plain) {
  std::vector<Target> all{plain, plain};
  all[1].attention_block = 4;
  Target kernel = plain;
  kernel.kernels = runtime::test_executor().target().kernels;
  if (kernel.has_attention_kernel()) all.push_back(kernel);
  return all;
}

// An array [B,Hk,S,D] whose positions before each row's start are random, the others poison. A
// kernel reads only what a row sees, so that all else may be no number.
HostTensor cache(const Case& c, int64_t heads, int64_t dim, uint32_t seed,
                 std::span<const float> poison) {
  const bool kernel = c.target.has_attention_kernel();
  if (kernel) poison = kKeyPoison;
  HostTensor tensor = random_f32({c.shape.slots, heads, c.shape.context, dim}, seed);
  std::vector<int64_t> seen(size_t(c.shape.slots), 0), filled = seen;
  for (size_t r = 0; r < c.slot.size(); ++r) {
    const size_t slot = size_t(c.slot[r]);
    filled[slot] = kernel && c.length[r] == 0 ? 0 : c.start[r];
    if (kernel && c.options.window > 0) seen[slot] = c.start[r] - c.options.window + 1;
  }
  for (size_t i = 0; i < tensor.as<float>().size(); ++i) {
    const int64_t position = int64_t(i) / dim % c.shape.context;
    const size_t slot = i / size_t(dim * c.shape.context * heads);
    if (position >= seen[slot] && position < filled[slot]) continue;
    tensor.as<float>()[i] = poison[i % poison.size()];
  }
  return tensor;
}

// Bit for bit, but for which NaN it is.
void expect_same(std::vector<float> got, std::vector<float> wanted) {
  for (std::vector<float>* each : {&got, &wanted})
    for (float& value : *each)
      if (std::isnan(value)) value = 12345;
  EXPECT_EQ(got, wanted);
}

// The cache after the step: columns x:[R,T,heads,dim] put in place, all else untouched.
std::vector<float> written(const Case& c, std::vector<float> array, const HostTensor& x) {
  const int64_t T = c.shape.columns, S = c.shape.context, heads = x.shape()[2], dim = x.shape()[3];
  for (int64_t r = 0; r < c.shape.rows; ++r)
    for (int64_t t = 0; t < c.length[size_t(r)]; ++t)
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t d = 0; d < dim; ++d)
          array[size_t(((c.slot[size_t(r)] * heads + h) * S + c.start[size_t(r)] + t) * dim + d)] =
              x.as<float>()[size_t(((r * T + t) * heads + h) * dim + d)];
  return array;
}

// Softmax-weighted values of one query: scores over keys 0..position, already scaled.
std::vector<double> weigh(std::vector<double> scores, const AttentionOptions& options,
                          const double* sink) {
  const int64_t count = int64_t(scores.size());
  double sum = sink != nullptr ? std::exp(*sink) : 0;
  for (int64_t s = 0; s < count; ++s) {
    double& score = scores[size_t(s)];
    if (options.softcap > 0) score = options.softcap * std::tanh(score / options.softcap);
    const bool seen = options.window == 0 || s > count - 1 - options.window;
    score = seen ? std::exp(score) : 0;
    sum += score;
  }
  for (double& score : scores) score /= sum;
  return scores;
}

// [R,T,Hq*Dv] at valid columns, zero elsewhere.
std::vector<float> plain_attention(const Case& c, const HostTensor& q,
                                   const std::vector<float>& keys, const std::vector<float>& values,
                                   std::span<const float> sinks) {
  const int64_t R = c.shape.rows, T = c.shape.columns, S = c.shape.context;
  std::vector<float> result(size_t(R * T * kHq * kDv));
  for (int64_t r = 0; r < R; ++r)
    for (int64_t t = 0; t < c.length[size_t(r)]; ++t)
      for (int64_t h = 0; h < kHq; ++h) {
        const int64_t base = (c.slot[size_t(r)] * kHk + h / (kHq / kHk)) * S;
        const int64_t position = c.start[size_t(r)] + t;
        std::vector<double> scores(size_t(position + 1));
        for (int64_t s = 0; s <= position; ++s)
          for (int64_t d = 0; d < kD; ++d)
            scores[size_t(s)] += double(q.as<float>()[size_t(((r * T + t) * kHq + h) * kD + d)]) *
                                 keys[size_t((base + s) * kD + d)] * c.options.scale;
        const double sink = sinks.empty() ? 0 : double(sinks[size_t(h)]);
        const auto weights = weigh(scores, c.options, sinks.empty() ? nullptr : &sink);
        for (int64_t d = 0; d < kDv; ++d) {
          double sum = 0;
          for (int64_t s = 0; s <= position; ++s)
            if (weights[size_t(s)] != 0)
              sum += weights[size_t(s)] * values[size_t((base + s) * kDv + d)];
          result[size_t(((r * T + t) * kHq + h) * kDv + d)] = float(sum);
        }
      }
  return result;
}

// Padding columns hold anything; zeroed before comparing.
std::vector<float> valid_only(const Case& c, std::vector<float> y) {
  const int64_t width = int64_t(y.size()) / (c.shape.rows * c.shape.columns);
  for (size_t i = 0; i < y.size(); ++i) {
    const int64_t column = int64_t(i) / width % c.shape.columns;
    const bool valid = column < c.length[size_t(int64_t(i) / (width * c.shape.columns))];
    if (!valid) y[i] = 0;
    EXPECT_TRUE(std::isfinite(y[i]));
  }
  return y;
}

void expect_spelling(Case c) {
  const int64_t R = c.shape.rows, T = c.shape.columns;
  TestStep test(c.shape, c.target);
  test.rows(c.slot, c.start, c.length);
  const Value q = test.input("q", random_f32({R, T, kHq, kD}, 1, -2, 2));
  const Value k = test.input("k", random_f32({R, T, kHk, kD}, 2));
  const Value v = test.input("v", random_f32({R, T, kHk, kDv}, 3));
  if (c.sinks) c.options.sinks = test.input("sinks", random_f32({kHq}, 4));
  test.give("state.a.k", cache(c, kHk, kD, 5, kKeyPoison));
  test.give("state.a.v", cache(c, kHk, kDv, 6, kValuePoison));
  const auto results = test.run(attention(test.step, "a", q, k, v, c.options));
  const auto keys = written(c, floats(test.value("state.a.k")), test.value("k"));
  const auto values = written(c, floats(test.value("state.a.v")), test.value("v"));
  const auto sinks = c.sinks ? floats(test.value("sinks")) : std::vector<float>{};
  EXPECT_LE(max_difference(valid_only(c, floats(results[0])),
                           plain_attention(c, test.value("q"), keys, values, sinks)),
            2e-6);
  expect_same(floats(results[1]), keys);  // padding and idle rows leave no trace
  expect_same(floats(results[2]), values);
  EXPECT_EQ(test.step.graph().text().find("continuo.attention") != std::string::npos,
            c.target.has_attention_kernel());
}

void expect_attention(Case c) {
  for (const Target& target : spellings(c.target)) {
    SCOPED_TRACE(target.has_attention_kernel() ? "kernel"
                 : target.attention_block > 0  ? "loop"
                                               : "plain");
    c.target = target;
    expect_spelling(c);
  }
}

// Rows that begin, go on, end at the slot's last position with padding beyond it, and idle.
Case ragged() {
  return {{.rows = 4, .columns = 3, .slots = 4, .context = 11},
          {0, 1, 2, 3},
          {0, 5, 9, 4},
          {3, 1, 2, 0},
          {.scale = 0.4}};
}

TEST(Attention, RaggedRows) { expect_attention(ragged()); }

TEST(Attention, Window) {
  for (int64_t window : {1, 2, 4, 50}) {
    Case c = ragged();
    c.options.window = window;
    window == 2 ? expect_attention(c) : expect_spelling(c);
  }
}

TEST(Attention, SoftcapAndSinks) {
  Case c = ragged();
  c.options.softcap = 0.7;
  expect_attention(c);
  c.sinks = true;
  expect_attention(c);
  c.options.window = 3;
  expect_attention(c);
}

TEST(Attention, AllAtOnceAtOddSizes) {
  Case c{{.rows = 3, .columns = 7, .slots = 5, .context = 29},
         {4, 2, 0},
         {13, 22, 6},
         {5, 7, 0},
         {.scale = 0.4, .softcap = 0.9, .window = 6}};
  c.sinks = true;
  expect_attention(c);
}

TEST(Attention, RowsPointAtSlots) {
  Case c = ragged();
  c.shape = {.rows = 3, .columns = 3, .slots = 6, .context = 11};
  c.slot = {4, 1, 5};
  c.start = {0, 9, 7};
  c.length = {2, 2, 0};
  expect_attention(c);
}

TEST(Attention, AttendsOverABucket) {
  Case c = ragged();
  c.shape.attended = 8;
  c.start = {0, 5, 3, 4};
  expect_attention(c);
  c.shape.slots = 7;
  c.slot = {6, 0, 3, 2};
  expect_attention(c);
}

TEST(Attention, WholePromptInOneStep) {
  Case c = ragged();
  c.shape.columns = 11;
  c.start = {0, 0, 4, 0};
  c.length = {11, 6, 7, 0};
  expect_attention(c);
}

TEST(Attention, OneColumnWrittenEitherWay) {
  for (const KvWrite write : {KvWrite::kScatter, KvWrite::kUpdateSlice}) {
    Case c{{.rows = 3, .columns = 1, .slots = 3, .context = 7, .attended = 7},
           {0, 1, 2},
           {0, 6, 3},
           {1, 1, 0},
           {.scale = 0.4}};
    c.target.kv_write = write;
    expect_spelling(c);
    c.shape.slots = 5;
    c.slot = {4, 0, 2};
    expect_attention(c);
    c.shape.attended = 7;
    c.start = {2, 5, 6};
    c.shape.context = 9;
    expect_spelling(c);
  }
}

// Whatever a value is, a slot's next owner and its later columns can multiply it by 0; the column
// itself does not go on as if nothing had been.
TEST(Attention, StoresNoValueThatIsNotFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity}) {
    const Case c = ragged();
    const int64_t R = c.shape.rows, T = c.shape.columns;
    const auto run = [&](bool spoilt) {
      TestStep test(c.shape, c.target);
      test.rows(c.slot, c.start, c.length);
      HostTensor v = random_f32({R, T, kHk, kDv}, 3);
      // Row 0's middle column, one element; all of row 1's padding and of the idle row.
      if (spoilt) {
        v.as<float>()[size_t(1 * kHk * kDv + 2)] = bad;
        for (int64_t i = (T + 1) * kHk * kDv; i < 2 * T * kHk * kDv; ++i)
          v.as<float>()[size_t(i)] = bad;
        for (int64_t i = 3 * T * kHk * kDv; i < R * T * kHk * kDv; ++i)
          v.as<float>()[size_t(i)] = bad;
      }
      const Value q = test.input("q", random_f32({R, T, kHq, kD}, 1, -2, 2));
      const Value k = test.input("k", random_f32({R, T, kHk, kD}, 2));
      test.give("state.a.k", cache(c, kHk, kD, 5, kKeyPoison));
      test.give("state.a.v", cache(c, kHk, kDv, 6, kValuePoison));
      const auto results =
          test.run(attention(test.step, "a", q, k, test.input("v", std::move(v)), c.options));
      return std::pair(floats(results[0]), floats(results[2]));
    };
    const auto [y, values] = run(true);
    const auto [healthy_y, healthy_values] = run(false);
    for (const float each : values) EXPECT_TRUE(std::isfinite(each));
    EXPECT_EQ(values[size_t(c.shape.context * 0 + 1) * kDv + 2], 0);
    const size_t width = kHq * kDv;
    const auto columns = [&](const std::vector<float>& all, size_t row, size_t count) {
      const auto begin = all.begin() + std::ptrdiff_t(row * size_t(T) * width);
      return std::vector<float>(begin, begin + std::ptrdiff_t(count * width));
    };
    EXPECT_EQ(columns(y, 0, 1), columns(healthy_y, 0, 1));  // before the spoilt column
    EXPECT_TRUE(std::isnan(y[width + 2])) << y[width + 2];
    EXPECT_EQ(columns(y, 1, 1), columns(healthy_y, 1, 1));
    EXPECT_EQ(columns(y, 2, 2), columns(healthy_y, 2, 2));
  }
}

// --- latent attention ---

constexpr int64_t kH = 3, kN = 4, kP = 2, kRank = 5, kV = 6;

// Keys and values of every position, expanded per head: what the absorbed form never makes.
std::vector<float> plain_latent(const Case& c, const TestStep& test,
                                const std::vector<float>& lines) {
  const int64_t R = c.shape.rows, T = c.shape.columns, S = c.shape.context, L = kRank + kP;
  const auto q_nope = test.value("q_nope").as<float>(), q_rope = test.value("q_rope").as<float>();
  const auto up = test.value("up").as<float>();
  const auto expanded = [&](const float* line, int64_t h, int64_t row) {
    double sum = 0;
    for (int64_t i = 0; i < kRank; ++i)
      sum += double(up[size_t((h * (kN + kV) + row) * kRank + i)]) * line[i];
    return sum;
  };
  std::vector<float> result(size_t(R * T * kH * kV));
  for (int64_t r = 0; r < R; ++r)
    for (int64_t t = 0; t < c.length[size_t(r)]; ++t)
      for (int64_t h = 0; h < kH; ++h) {
        const int64_t query = (r * T + t) * kH + h, position = c.start[size_t(r)] + t;
        const float* first = lines.data() + c.slot[size_t(r)] * S * L;
        std::vector<double> scores(size_t(position + 1));
        for (int64_t s = 0; s <= position; ++s) {
          double& score = scores[size_t(s)];
          for (int64_t n = 0; n < kN; ++n)
            score += q_nope[size_t(query * kN + n)] * expanded(first + s * L, h, n);
          for (int64_t p = 0; p < kP; ++p)
            score += double(q_rope[size_t(query * kP + p)]) * first[s * L + kRank + p];
          score *= c.options.scale;
        }
        const auto weights = weigh(scores, c.options, nullptr);
        for (int64_t d = 0; d < kV; ++d) {
          double sum = 0;
          for (int64_t s = 0; s <= position; ++s)
            sum += weights[size_t(s)] * expanded(first + s * L, h, kN + d);
          result[size_t(query * kV + d)] = float(sum);
        }
      }
  return result;
}

void expect_latent_spelling(const Case& c) {
  const int64_t R = c.shape.rows, T = c.shape.columns;
  TestStep test(c.shape, c.target);
  test.rows(c.slot, c.start, c.length);
  const Value q_nope = test.input("q_nope", random_f32({R, T, kH, kN}, 1));
  const Value q_rope = test.input("q_rope", random_f32({R, T, kH, kP}, 2));
  const Value latent = test.input("latent", random_f32({R, T, kRank}, 3));
  const Value k_rope = test.input("k_rope", random_f32({R, T, 1, kP}, 4));
  const Value up = test.input("up", random_f32({kH, kN + kV, kRank}, 5));
  test.give("state.a.latent", cache(c, 1, kRank + kP, 6, kValuePoison));
  const auto results = test.run(
      latent_attention(test.step, "a", q_nope, q_rope, latent, k_rope, up, kV, c.options.scale));
  HostTensor line(DType::kF32, {R, T, 1, kRank + kP});
  for (int64_t i = 0; i < R * T; ++i)
    for (int64_t d = 0; d < kRank + kP; ++d)
      line.as<float>()[size_t(i * (kRank + kP) + d)] =
          d < kRank ? test.value("latent").as<float>()[size_t(i * kRank + d)]
                    : test.value("k_rope").as<float>()[size_t(i * kP + d - kRank)];
  const auto lines = written(c, floats(test.value("state.a.latent")), line);
  EXPECT_LE(max_difference(valid_only(c, floats(results[0])), plain_latent(c, test, lines)), 5e-6);
  expect_same(floats(results[1]), lines);
}

void expect_latent(Case c) {
  for (const Target& target : spellings(c.target)) {
    c.target = target;
    expect_latent_spelling(c);
  }
}

TEST(LatentAttention, AgreesWithTheExpandedForm) {
  Case c = ragged();
  expect_latent(c);
  c.shape.slots = 7;
  c.shape.attended = 8;
  c.slot = {6, 0, 3, 2};
  c.start = {0, 5, 3, 4};
  expect_latent(c);
}

TEST(Attention, RefusesShapesThatDoNotFit) {
  TestStep test(ragged().shape);
  Graph& g = test.step.graph();
  const Value q = g.argument("q", DType::kF32, {4, 3, 5, kD});
  const Value k = g.argument("k", DType::kF32, {4, 3, kHk, kD});
  EXPECT_THROW(attention(test.step, "a", q, k, k, {}), CheckFailure);
}

}  // namespace
}  // namespace continuo::ops

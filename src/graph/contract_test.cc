#include "graph/contract.h"

#include <random>

#include "graph/elementwise.h"
#include "graph/plugins_test.h"

namespace continuo::graph {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pointwise;

Numbers random_numbers(size_t size, uint32_t seed) {
  std::mt19937 engine(seed);
  Numbers numbers(size);
  for (double& each : numbers) each = double(int64_t(engine() % 513) - 256) / 256;  // exact in bf16
  return numbers;
}

using Contract = OnPlugin;
CONTINUO_ON_BOTH_PLUGINS(Contract);

// out[b,m,n] = sum_k x[b,k,m] y[n,b,k], sizes all different and odd.
TEST_P(Contract, BatchesAndOddSizes) {
  constexpr int B = 3, M = 5, N = 7, K = 11;
  const Numbers xs = random_numbers(B * K * M, 1), ys = random_numbers(N * B * K, 2);
  const Value x = in(DType::kF32, {B, K, M}, xs), y = in(DType::kF32, {N, B, K}, ys);
  Numbers wanted, turned(B * M * N);
  for (int b = 0; b < B; ++b)
    for (int m = 0; m < M; ++m)
      for (int n = 0; n < N; ++n) {
        double sum = 0;
        for (int k = 0; k < K; ++k)
          sum += xs[size_t((b * K + k) * M + m)] * ys[size_t((n * B + b) * K + k)];
        wanted.push_back(sum);
        turned[size_t((n * M + m) * B + b)] = sum;
      }
  const Value direct = dot_general(x, y, {{0}, {1}, {1}, {2}}, DType::kF32);
  EXPECT_EQ(direct.type(), (Type{DType::kF32, {B, M, N}}));
  const auto results = run({direct, einsum("bkm,nbk->nmb", x, y)});
  EXPECT_THAT(results[0], Pointwise(DoubleNear(1e-5), wanted));
  EXPECT_THAT(results[1], Pointwise(DoubleNear(1e-5), turned));
}

TEST_P(Contract, Bf16SumsInFloat32) {
  constexpr int K = 257;
  const Value x = in(DType::kBF16, {1, K}, Numbers(K, 1)), y = in(DType::kBF16, {K}, Numbers(K, 1));
  const Value sum = einsum("rk,k->r", x, y);
  EXPECT_EQ(sum.type(), (Type{DType::kF32, {1}}));
  EXPECT_THAT(run(sum), ElementsAre(257));  // bf16 would stop at 256
}

TEST_P(Contract, OuterInnerAndSeveralContracted) {
  const Value a = floats({1, 2}), b = floats({3, 4, 5});
  const Value m = in(DType::kF32, {2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_THAT(run({einsum("a,b->ab", a, b), einsum("a,b->ba", a, b), einsum("b,b->", b, b),
                   einsum("ab,ab->", m, m), einsum("ab,ab->ba", m, m)}),
              ElementsAre(ElementsAre(3, 4, 5, 6, 8, 10), ElementsAre(3, 6, 4, 8, 5, 10),
                          ElementsAre(50), ElementsAre(91), ElementsAre(1, 16, 4, 25, 9, 36)));
}

TEST_P(Contract, EmptySumIsZero) {
  const Value x = in(DType::kF32, {2, 0}, {}), y = in(DType::kF32, {0, 3}, {});
  EXPECT_THAT(run(einsum("ak,kb->ab", x, y)), ElementsAre(0, 0, 0, 0, 0, 0));
}

TEST(ContractText, PrecisionIsWritten) {
  Graph g;
  const Value x = g.argument("x", DType::kF32, {2, 2});
  g.output(einsum("ak,kb->ab", x, x));
  EXPECT_THAT(g.text(), HasSubstr("precision = [HIGHEST, HIGHEST]"));
  Graph other;
  const Value y = other.argument("y", DType::kF32, {2, 2});
  other.output(einsum("ak,kb->ab", y, y, DType::kF32, Precision::kDefault));
  EXPECT_THAT(other.text(), HasSubstr("precision = [DEFAULT, DEFAULT]"));
}

TEST(ContractRefuses, WhatDoesNotFit) {
  Graph g;
  const Value x = g.argument("x", DType::kF32, {2, 3}), y = g.argument("y", DType::kF32, {3, 4});
  const Value h = g.argument("h", DType::kBF16, {3, 4});
  const auto dot = [&](Value lhs, Value rhs, const DotDims& dims) {
    return refusal([&] { dot_general(lhs, rhs, dims, DType::kF32); });
  };
  EXPECT_EQ(dot(x, h, {{}, {}, {1}, {0}}),
            "[dot_general] wanted one dtype, got f32[2,3] and bf16[3,4]");
  EXPECT_EQ(dot(x, y, {{}, {}, {1}, {}}),
            "[dot_general] contracting: wanted pairs, got [1] and []");
  EXPECT_EQ(dot(x, y, {{0}, {2}, {}, {}}),
            "[dot_general] batch: dimensions [0] and [2] outside f32[2,3] and f32[3,4]");
  EXPECT_EQ(dot(x, y, {{}, {}, {0}, {0}}),
            "[dot_general] contracting: sizes differ: f32[2,3] dimension 0, f32[3,4] dimension 0");
  EXPECT_EQ(dot(x, y, {{1}, {0}, {1}, {0}}),
            "[dot_general] wanted each dimension of f32[2,3] once, got [1, 1]");
  const auto refuse = [&](const std::string& spec) { return refusal([&] { einsum(spec, x, y); }); };
  EXPECT_EQ(refuse("ab->ab"), "[einsum] wanted \"ab,bc->ac\", got \"ab->ab\"");
  EXPECT_EQ(refuse("ab,bc"), "[einsum] wanted \"ab,bc->ac\", got \"ab,bc\"");
  EXPECT_EQ(refuse("abc,bc->a"), "[einsum] \"abc,bc->a\" does not fit f32[2,3] and f32[3,4]");
  EXPECT_EQ(refuse("aa,bc->a"), "[einsum] \"aa,bc->a\" repeats a within one operand");
  EXPECT_EQ(refuse("ab,bc->ad"), "[einsum] \"ab,bc->ad\": d is in no operand");
  EXPECT_EQ(refuse("ab,bc->c"), "[einsum] \"ab,bc->c\" sums a over one operand only");
  EXPECT_EQ(refuse("ab,bc->a"), "[einsum] \"ab,bc->a\" sums c over one operand only");
}

}  // namespace
}  // namespace continuo::graph

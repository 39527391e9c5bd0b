#include "runtime/kernels/cpu/attention.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace continuo::runtime::kernels {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> random(int64_t count, uint32_t seed) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> values(-1, 1);
  std::vector<float> result(static_cast<size_t>(count));
  for (float& each : result) each = values(engine);
  return result;
}

struct Sizes {
  int64_t T = 1, Hq = 4, Hk = 2, D = 5, V = 6, Dv = 6, S = 40, B = 5;
  int64_t window = 0;
  float softcap = 0;
  bool sinks = false;
};

// Keys and values of every slot, of which only what a row may see is a number.
struct Case {
  Case(const Sizes& of, std::vector<int32_t> slots, std::vector<int32_t> starts,
       std::vector<int32_t> lengths)
      : size(of), slot(slots), start(starts), length(lengths) {
    const int64_t R = rows();
    q = random(R * size.T * size.Hq * size.D, 1);
    k = random(size.B * size.Hk * size.S * size.D, 2);
    v = random(size.B * size.Hk * size.S * size.V, 3);
    sinks = random(size.Hq, 4);
    for (int64_t b = 0; b < size.B; ++b) {
      int64_t from = 0, to = 0;
      for (int64_t r = 0; r < R; ++r) {
        if (slot[size_t(r)] != b || length[size_t(r)] == 0) continue;
        to = start[size_t(r)] + length[size_t(r)];
        from = size.window > 0 ? std::max<int64_t>(0, start[size_t(r)] - size.window + 1) : 0;
      }
      for (int64_t h = 0; h < size.Hk; ++h)
        for (int64_t s = 0; s < size.S; ++s)
          if (s < from || s >= to) poison((b * size.Hk + h) * size.S + s);
    }
  }
  int64_t rows() const { return int64_t(slot.size()); }
  void poison(int64_t line) {
    const float bad[] = {kNaN, kInfinity, -kInfinity};
    std::fill_n(k.begin() + line * size.D, size.D, bad[line % 3]);
    std::fill_n(v.begin() + line * size.V, size.V, bad[(line + 1) % 3]);
  }
  AttentionCall call(std::vector<float>& y) const {
    y.assign(size_t(rows() * size.T * size.Hq * size.Dv), 7);
    return {q.data(), k.data(),     v.data(),     size.sinks ? sinks.data() : nullptr,
            y.data(), slot.data(),  start.data(), length.data(),
            rows(),   size.T,       size.Hq,      size.Hk,
            size.S,   size.D,       size.V,       size.Dv,
            0.4f,     size.softcap, size.window};
  }
  std::vector<float> run() const {
    std::vector<float> y;
    Attention attention(call(y));
    attention.run(0, attention.parts());
    attention.finish();
    return y;
  }
  std::vector<double> exact() const;

  Sizes size;
  std::vector<int32_t> slot, start, length;
  std::vector<float> q, k, v, sinks;
};

std::vector<double> Case::exact() const {
  std::vector<double> y(size_t(rows() * size.T * size.Hq * size.Dv), 0);
  for (int64_t r = 0; r < rows(); ++r)
    for (int64_t t = 0; t < length[size_t(r)]; ++t)
      for (int64_t h = 0; h < size.Hq; ++h) {
        const int64_t own = start[size_t(r)] + t, query = (r * size.T + t) * size.Hq + h;
        const int64_t first = size.window > 0 ? std::max<int64_t>(0, own - size.window + 1) : 0;
        const int64_t head = slot[size_t(r)] * size.Hk + h / (size.Hq / size.Hk);
        double sum = size.sinks ? std::exp(double(sinks[size_t(h)])) : 0;
        std::vector<double> mixed(size_t(size.Dv), 0);
        for (int64_t s = first; s <= own; ++s) {
          const int64_t line = head * size.S + s;
          double score = 0;
          for (int64_t d = 0; d < size.D; ++d)
            score += double(q[size_t(query * size.D + d)]) * double(k[size_t(line * size.D + d)]);
          score *= double(0.4f);
          if (size.softcap > 0) score = size.softcap * std::tanh(score / size.softcap);
          sum += std::exp(score);
          for (int64_t d = 0; d < size.Dv; ++d)
            mixed[size_t(d)] += std::exp(score) * double(v[size_t(line * size.V + d)]);
        }
        for (int64_t d = 0; d < size.Dv; ++d)
          y[size_t(query * size.Dv + d)] = mixed[size_t(d)] / sum;
      }
  return y;
}

// Each set of instructions this CPU has, in turn.
template <typename Test>
void on_every_target(Test test) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    SCOPED_TRACE(hwy::TargetName(target));
    test();
  }
  hwy::SetSupportedTargetsForTest(0);
}

void expect_attention(const Case& c) {
  const std::vector<float> y = c.run();
  const std::vector<double> wanted = c.exact();
  for (size_t i = 0; i < y.size(); ++i)
    ASSERT_NEAR(y[i], wanted[i], 3e-6) << "at " << i << " of T " << c.size.T << " D " << c.size.D;
}

// Rows that begin, go on, end at the slot's last position, and idle; slots are not the rows.
Case ragged(Sizes size) {
  const int32_t S = int32_t(size.S), T = int32_t(size.T);
  return {
      size, {3, 0, 4, 1}, {0, std::min(S / 2, S - T), S - T, S / 3}, {T, T > 1 ? T - 1 : 1, T, 0}};
}

TEST(AttentionKernel, ReadsWhatARowMaySeeAndNothingElse) {
  on_every_target([] {
    for (const int64_t T : {1, 2, 7, 23, 70})
      for (const int64_t S : {71, 300, 601})
        for (const int64_t window : {0, 1, 3, 280})
          for (const int64_t heads : {1, 3})
            expect_attention(ragged({.T = T, .Hq = 2 * heads, .Hk = 2, .S = S, .window = window}));
  });
}

TEST(AttentionKernel, EveryHeadSize) {
  on_every_target([] {
    for (const int64_t D : {1, 15, 16, 17, 64, 100})
      for (const int64_t Dv : {1, 16, 33, 80})
        for (const int64_t T : {1, 9})
          expect_attention(ragged({.T = T, .D = D, .V = Dv, .Dv = Dv, .S = 270}));
  });
}

TEST(AttentionKernel, SoftcapAndSinks) {
  on_every_target([] {
    for (const float softcap : {0.f, 0.3f})
      for (const bool sinks : {false, true})
        for (const int64_t T : {1, 11})
          expect_attention(
              ragged({.T = T, .S = 290, .window = 90, .softcap = softcap, .sinks = sinks}));
  });
}

// Latent attention: one key head, whose lines begin with the values.
TEST(AttentionKernel, ValuesAreTheFrontOfTheKeys) {
  on_every_target([] {
    for (const int64_t T : {1, 3}) {
      Case c = ragged({.T = T, .Hq = 19, .Hk = 1, .D = 21, .V = 21, .Dv = 16, .S = 300});
      c.v = c.k;
      expect_attention(c);
    }
  });
}

TEST(AttentionKernel, ARowIsTheSameInWhateverPartsAndCompany) {
  const Sizes size{.T = 2, .Hq = 6, .Hk = 2, .D = 24, .V = 16, .Dv = 16, .S = 900, .B = 20};
  std::vector<int32_t> slot(20), start(20), length(20, 2);
  for (int32_t r = 0; r < 20; ++r) slot[size_t(r)] = r, start[size_t(r)] = 898 - 41 * r;
  const Case all(size, slot, start, length);  // so many rows that a part is a row and head
  on_every_target([&] {
    const std::vector<float> together = all.run();
    const size_t line = size_t(size.T * size.Hq * size.Dv);
    for (size_t r = 0; r < 20; ++r) {
      Case alone = all;
      alone.slot = {slot[r]}, alone.start = {start[r]}, alone.length = {2};
      const auto query = all.q.begin() + std::ptrdiff_t(r) * size.T * size.Hq * size.D;
      alone.q.assign(query, query + size.T * size.Hq * size.D);
      std::vector<float> y;
      Attention attention(alone.call(y));
      if (start[r] > 300) {
        EXPECT_GT(attention.parts(), size.Hk);
      }
      for (int64_t i = attention.parts(); i-- > 0;) attention.run(i, i + 1);
      attention.finish();
      const auto own = together.begin() + std::ptrdiff_t(r * line);
      ASSERT_TRUE(std::equal(y.begin(), y.end(), own, own + std::ptrdiff_t(line))) << "row " << r;
    }
  });
}

// A row that is broken must not look whole: whoever reads its logits has to see it.
TEST(AttentionKernel, ANaNThatIsSeenStaysOne) {
  on_every_target([] {
    for (const int64_t T : {1, 9})
      for (const float softcap : {0.f, 0.5f})
        for (const bool keys : {true, false}) {
          Case c = ragged({.T = T, .S = 300, .softcap = softcap});
          (keys ? c.k : c.v)[size_t((0 * 2 + 1) * 300 * (keys ? 5 : 6) + 2)] = kNaN;  // slot 0
          const std::vector<float> y = c.run();
          const size_t line = size_t(T * 4 * 6);
          size_t broken = 0;
          for (size_t i = 0; i < y.size(); ++i) {
            broken += std::isnan(y[i]);
            EXPECT_TRUE(i / line == 1 || std::isfinite(y[i])) << i;
          }
          EXPECT_EQ(broken, size_t(c.length[1]) * 2 * (keys ? 6 : 1));
        }
  });
}

}  // namespace
}  // namespace continuo::runtime::kernels

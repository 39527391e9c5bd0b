#include "runtime/kernels/cpu/linear.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cmath>
#include <cstdlib>
#include <random>
#include <vector>

namespace continuo::runtime::kernels {
namespace {

std::vector<float> random(int64_t count, uint32_t seed) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> values(-1, 1);
  std::vector<float> result(static_cast<size_t>(count));
  for (float& each : result) each = values(engine);
  return result;
}

struct Case {
  int64_t rows, in, out;
  std::vector<float> x = random(rows * in, 1), w = random(in * out, 2);

  std::vector<float> run(int64_t begin, int64_t end) const {
    std::vector<float> y(static_cast<size_t>(rows * out), 7);
    linear(x.data(), w.data(), y.data(), rows, in, out, begin, end);
    return y;
  }
  double exact(int64_t row, int64_t line) const {
    double sum = 0;
    for (int64_t i = 0; i < in; ++i)
      sum += double(x[size_t(row * in + i)]) * double(w[size_t(line * in + i)]);
    return sum;
  }
};

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

TEST(LinearKernel, IsTheProductAtEverySize) {
  on_every_target([] {
    for (const int64_t in : {1, 5, 16, 31, 511, 512, 513, 1100})
      for (const int64_t out : {1, 2, 3, 16, 17, 50})
        for (const int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 19}) {
          const Case size{rows, in, out};
          const std::vector<float> y = size.run(0, out);
          for (int64_t r = 0; r < rows; ++r)
            for (int64_t l = 0; l < out; ++l)
              ASSERT_NEAR(y[size_t(r * out + l)], size.exact(r, l), 1e-5 * std::sqrt(double(in)))
                  << rows << "x" << in << "x" << out << " at " << r << "," << l;
        }
  });
}

TEST(LinearKernel, WritesItsLinesAlone) {
  const Case size{5, 37, 40};
  const std::vector<float> y = size.run(11, 30);
  for (int64_t r = 0; r < size.rows; ++r)
    for (int64_t l = 0; l < size.out; ++l)
      if (l < 11 || l >= 30) {
        EXPECT_EQ(y[size_t(r * size.out + l)], 7) << r << "," << l;
      }
}

// What one request answers must not depend on who shares its batch.
TEST(LinearKernel, ARowIsTheSameWhateverIsBesideIt) {
  on_every_target([] {
    const Case all{19, 1100, 50};
    const std::vector<float> together = all.run(0, 50);
    for (int64_t r = 0; r < all.rows; ++r) {
      Case alone{1, 1100, 50};
      std::copy_n(all.x.begin() + r * 1100, 1100, alone.x.begin());
      for (const int64_t cut : {0, 1, 7, 16, 33}) {
        std::vector<float> y = alone.run(0, cut);
        const std::vector<float> rest = alone.run(cut, 50);
        std::copy(rest.begin() + cut, rest.end(), y.begin() + cut);
        for (int64_t l = 0; l < 50; ++l)
          ASSERT_EQ(y[size_t(l)], together[size_t(r * 50 + l)]) << r << "," << l;
      }
    }
  });
}

}  // namespace
}  // namespace continuo::runtime::kernels

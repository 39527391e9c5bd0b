// For tests of recurrences with a matrix state: the float64 scan they are compared with.
#pragma once

#include <cmath>
#include <vector>

#include "ops/test_recurrence.h"

namespace continuo::ops {

// S[t] = diag(exp(g)) S[t-1] + b (S[t-1]^T a)^T + k v^T, out[t] = S[t]^T q, in float64; every
// recurrence with a matrix state is a case of it. q, g, k, a, b:[R,T,H,K] v:[R,T,H,V] S:[R,H,K,V].
struct LowRankScan {
  int64_t R = 1, T = 1, H = 1, K = 1, V = 1;
  std::vector<double> q, g, k, a, b, v, state;
  Outcome run();

 private:
  void run_column(const double* q_, const double* g_, const double* k_, const double* a_,
                  const double* b_, const double* v_, double* s, double* o) const;
};

inline void LowRankScan::run_column(const double* q_, const double* g_, const double* k_,
                                    const double* a_, const double* b_, const double* v_, double* s,
                                    double* o) const {
  for (int64_t j = 0; j < V; ++j) {
    double u = 0;
    for (int64_t i = 0; i < K; ++i) u += a_[i] * s[i * V + j];
    o[j] = 0;
    for (int64_t i = 0; i < K; ++i) {
      s[i * V + j] = std::exp(g_[i]) * s[i * V + j] + b_[i] * u + k_[i] * v_[j];
      o[j] += q_[i] * s[i * V + j];
    }
  }
}

inline Outcome LowRankScan::run() {
  std::vector<double> out(size_t(R * T * H * V));
  for (int64_t r = 0; r < R; ++r)
    for (int64_t t = 0; t < T; ++t)
      for (int64_t h = 0; h < H; ++h) {
        const size_t key = size_t(((r * T + t) * H + h) * K);
        const size_t value = size_t(((r * T + t) * H + h) * V);
        run_column(&q[key], &g[key], &k[key], &a[key], &b[key], &v[value],
                   &state[size_t((r * H + h) * K * V)], &out[value]);
      }
  return {narrowed(out), narrowed(state)};
}

}  // namespace continuo::ops

// Checks of what is computed with masks of dense weights.

#ifndef TF_PAI_KERNELS_CHECK_MASKS_H_
#define TF_PAI_KERNELS_CHECK_MASKS_H_

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "check_support.h"
#include "counting.h"
#include "largest.h"
#include "masking.h"
#include "threshold.h"

// Against sorting, with ties, with NaN, and with good and bad guesses.
inline void CheckHighestNear(int n, int count, bool magnitude) {
  Floats scores(n), mask(n), guess{-1, 1}, next(2);
  for (float& score : scores) score = Random(-50, 50) / 10.f;
  if (n > 3) scores[n / 3] = NAN;
  if (Random(0, 1) == 0) guess = {Random(0, 40) / 10.f, Random(0, 40) / 10.f};
  if (Random(0, 9) == 0) guess = {NAN, INFINITY};
  tf_pai::RunHighestNear({scores.data(), n, count, magnitude, guess.data(),
                          mask.data(), next.data()});
  std::vector<int> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    using tf_pai::KeyOf;
    return magnitude ? KeyOf<true>(scores[a]) > KeyOf<true>(scores[b])
                     : KeyOf<false>(scores[a]) > KeyOf<false>(scores[b]);
  });
  bool same = true;
  for (int i = 0; i < n; ++i) same &= mask[order[i]] == (i < count ? 1 : 0);
  Expect(same, "highest " + std::to_string(count) + " of " + std::to_string(n));
}

// Against sorting, with ties, with NaN, and with some that are not meant; a few
// scores and so many that a sample is drawn.
inline void CheckLargest(int n, int count) {
  Floats scores(n);
  std::vector<uint8_t> among(n), mask(n);
  const int kinds = std::vector<int>{0, 1, 50, 1000000}[Random(0, 3)];
  for (float& score : scores) score = Random(-kinds, kinds) / 10.f;
  if (n > 3) scores[n / 3] = NAN;
  for (int i = 0; i < n; ++i) among[i] = Random(0, 2) > 0;
  tf_pai::RunLargest({scores.data(), among.data(), n, count, mask.data()});
  std::vector<int> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    using tf_pai::KeyOf;
    if (among[a] != among[b]) return among[a] > among[b];
    return among[a] && KeyOf<false>(scores[a]) > KeyOf<false>(scores[b]);
  });
  bool same = true;
  for (int i = 0; i < n; ++i) {
    same &= mask[order[i]] == (i < count && among[order[i]]);
  }
  Expect(same, "largest " + std::to_string(count) + " of " + std::to_string(n));
}

// One by one, and with what is not finite at any place.
inline void CheckCounting(int n) {
  Floats values = RandomFloats(n);
  std::vector<uint8_t> mask(n);
  int64_t nonzero = 0, marked = 0;
  for (int i = 0; i < n; ++i) {
    if (Random(0, 2) == 0) values[i] = Random(0, 1) == 0 ? -0.0f : NAN;
    nonzero += values[i] != 0;
    marked += mask[i] = Random(0, 1);
  }
  Expect(tf_pai::CountNonzero(values.data(), n) == nonzero &&
             tf_pai::CountNonzero(mask.data(), n) == marked,
         "counts of " + std::to_string(n));
  for (float& value : values) value = std::isnan(value) ? FLT_MAX : value;
  bool right = tf_pai::AllFinite(values.data(), n);
  const float others[] = {NAN, -NAN, INFINITY, -INFINITY};
  if (n > 0) values[Random(0, n - 1)] = others[Random(0, 3)];
  right &= tf_pai::AllFinite(values.data(), n) == (n == 0);
  Expect(right, "finite, " + std::to_string(n));
}

// Bit for bit, with what is not finite under both kinds of mask.
inline void CheckZeroPruned(int n, int threads) {
  Floats weights = RandomFloats(n), mask(n), expected(n);
  for (int i = 0; i < n; ++i) {
    if (Random(0, 9) == 0) weights[i] = -0.0f;
    if (Random(0, 9) == 0) weights[i] = std::numeric_limits<float>::infinity();
    mask[i] = Random(0, 1);
    expected[i] = mask[i] == 0 ? 0 : weights[i];
  }
  ThreadRuntime runtime(threads);
  tf_pai::RunZeroPruned(tf_pai::PackedMask(mask.data(), n), n, weights.data(),
                        &runtime);
  bool same = true;
  for (int i = 0; i < n; ++i) {
    same &= weights[i] == expected[i] &&
            std::signbit(weights[i]) == std::signbit(expected[i]);
  }
  Expect(same, "zero pruned, " + std::to_string(n));
}

#endif  // TF_PAI_KERNELS_CHECK_MASKS_H_

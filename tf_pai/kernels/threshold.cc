#include "threshold.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels.h"

namespace tf_pai {

namespace {

// As in tf_pai/selection/threshold.py, which does the same with TensorFlow's
// own ops.
constexpr float kSpare = 64;
constexpr float kShrink = 0.995f;

int32_t Key(const HighestNear& h, int64_t i) {
  return h.magnitude ? KeyOf<true>(h.scores[i]) : KeyOf<false>(h.scores[i]);
}

float Rank(const HighestNear& h, int64_t i) {
  return h.magnitude ? std::fabs(h.scores[i]) : h.scores[i];
}

// Marks the `count` highest of the candidates; returns the lowest of them.
int64_t MarkHighest(const HighestNear& h, int64_t count,
                    std::vector<int64_t>* candidates) {
  const auto before = [&h](int64_t a, int64_t b) {
    const int32_t one = Key(h, a), other = Key(h, b);
    return one != other ? one > other : a < b;
  };
  const auto lowest = candidates->begin() + (count - 1);
  std::nth_element(candidates->begin(), lowest, candidates->end(), before);
  for (auto i = candidates->begin(); i <= lowest; ++i) h.mask[*i] = 1;
  return *lowest;
}

// Without a guess: looks through all scores.
void Search(const HighestNear& h) {
  std::fill(h.mask, h.mask + h.n, 0.0f);
  std::vector<int64_t> all(h.n);
  double total = 0, highest = -INFINITY;
  for (int64_t i = 0; i < h.n; ++i) {
    all[i] = i;
    total += std::fabs(h.scores[i]);
    highest = std::max<double>(highest, Rank(h, i));
  }
  const double threshold =
      h.count == 0 ? highest : Rank(h, MarkHighest(h, h.count, &all));
  const double spread = kSpare * total / h.n / h.n;
  const double width =
      std::min(std::max<double>(h.guess[1] - h.guess[0], spread), 16 * spread);
  h.next[0] = static_cast<float>(threshold - width);
  h.next[1] = static_cast<float>(threshold + width);
}

}  // namespace

void RunHighestNear(const HighestNear& h) {
  if (h.n == 0) {
    std::copy(h.guess, h.guess + 2, h.next);
    return;
  }
  std::vector<int64_t> near(h.n / 8);
  const Marked marked = KernelsFor(INT64_MAX).mark_above(
      {h.scores, h.magnitude, 0, h.n, KeyOf<false>(h.guess[0]),
       KeyOf<false>(h.guess[1]), h.mask, near.data(),
       static_cast<int64_t>(near.size())});
  const int64_t missing = h.count - marked.above;
  if (missing < 1 || missing > marked.near ||
      marked.near > static_cast<int64_t>(near.size())) {
    Search(h);
    return;
  }
  near.resize(marked.near);
  const float threshold = Rank(h, MarkHighest(h, missing, &near));
  const float half = kShrink * (h.guess[1] - h.guess[0]) / 2;
  h.next[0] = threshold - half;
  h.next[1] = threshold + half;
}

}  // namespace tf_pai

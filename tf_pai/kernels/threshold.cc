#include "threshold.h"

#include <algorithm>
#include <cmath>
#include <numeric>
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

// The keys (low, high] among which is that of the count-th highest score, and
// how many scores have one of them.
struct Bin {
  int32_t low, high;
  int64_t scores;
};

// Counts the scores by the leading bits of their keys.
Bin BinOfThreshold(const HighestNear& h) {
  constexpr int kShift = 21, kBins = 1 << (32 - kShift);
  std::vector<int64_t> counts(kBins);
  for (int64_t i = 0; i < h.n; ++i) ++counts[(Key(h, i) >> kShift) + kBins / 2];
  int bin = kBins - 1;
  int64_t left = h.count;
  while (bin > 0 && left > counts[bin]) left -= counts[bin--];
  const int64_t first = int64_t{bin - kBins / 2} * (1 << kShift);
  return {static_cast<int32_t>(std::max<int64_t>(first - 1, INT32_MIN)),
          static_cast<int32_t>(first + (1 << kShift) - 1), counts[bin]};
}

Marked MarkAbove(const HighestNear& h, int32_t low, int32_t high,
                 std::vector<int64_t>* near) {
  return KernelsFor(INT64_MAX).mark_above({h.scores, h.magnitude, nullptr, h.n,
                                           low, high, h.mask, near->data(),
                                           static_cast<int64_t>(near->size())});
}

// Sums |scores|, in several sums at once, since one would wait for itself.
double SumOfMagnitudes(const HighestNear& h) {
  constexpr int kSums = 8;
  double sums[kSums] = {};
  for (int64_t i = 0; i < h.n; ++i) sums[i % kSums] += std::fabs(h.scores[i]);
  return std::accumulate(sums, sums + kSums, 0.0);
}

// Without a guess: looks through all scores.
void Search(const HighestNear& h) {
  double threshold = -INFINITY;
  if (h.count == 0) {
    std::fill(h.mask, h.mask + h.n, 0.0f);
    for (int64_t i = 0; i < h.n; ++i) {
      threshold = std::max<double>(threshold, Rank(h, i));
    }
  } else {
    const Bin bin = BinOfThreshold(h);
    std::vector<int64_t> near(bin.scores);
    const Marked marked = MarkAbove(h, bin.low, bin.high, &near);
    threshold = Rank(h, MarkHighest(h, h.count - marked.above, &near));
  }
  const double spread = kSpare * SumOfMagnitudes(h) / h.n / h.n;
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
  const Marked marked =
      MarkAbove(h, KeyOf<false>(h.guess[0]), KeyOf<false>(h.guess[1]), &near);
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

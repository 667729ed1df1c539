#include "largest.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <new>
#include <numeric>
#include <vector>

#include "threshold.h"

namespace tf_pai {

namespace {

constexpr int kAtOnce = 128;   // scores
constexpr int kSample = 4096;  // scores

// An unsigned number in the order of the scores. The others have 0, which is
// that of no score.
inline uint32_t Ordered(float score, uint8_t is_meant) {
  const auto key = static_cast<uint32_t>(KeyOf<false>(score));
  return (key ^ 0x80000000u) & -uint32_t{is_meant};  // all bits or none
}

inline uint32_t Key(const Largest& l, int64_t i) {
  return Ordered(l.scores[i], l.among[i]);
}

// Marks the scores of a block that are above `high`, and counts these and those
// from `low` on.
void MarkBlock(const Largest& l, int64_t begin, int64_t end, uint32_t high,
               uint32_t low, int* above, int* from_low) {
  const float* __restrict scores = l.scores + begin;
  const uint8_t* __restrict among = l.among + begin;
  uint8_t* __restrict mask = l.mask + begin;
  const int count = static_cast<int>(end - begin);
  uint32_t sum_above = 0, sum_from_low = 0;
  for (int i = 0; i < count; ++i) {
    const uint32_t key = Ordered(scores[i], among[i]);
    mask[i] = key > high;
    sum_above += key > high;
    sum_from_low += key >= low;
  }
  *above = sum_above;
  *from_low = sum_from_low;
}

// Keys (low, high] in which that of the count-th highest score is thought to
// be.
struct Range {
  uint32_t low, high;
};

// From a sample: as far to both sides as that of another sample would hardly
// ever be.
Range Guess(const Largest& l) {
  std::vector<uint32_t> sample(kSample);
  for (int64_t i = 0; i < kSample; ++i) sample[i] = Key(l, i * l.n / kSample);
  const double share = static_cast<double>(l.count) / l.n;
  const double spread = 4 * std::sqrt(kSample * share * (1 - share)) + 3;
  const auto key_after = [&](double above) -> uint32_t {  // so many keys
    const auto at = sample.begin() + static_cast<int64_t>(above);
    std::nth_element(sample.begin(), at, sample.end(),
                     std::greater<uint32_t>());
    return *at;
  };
  const double above = share * kSample;
  return {above + spread < kSample ? key_after(above + spread) : 0,
          above > spread ? key_after(above - spread) : UINT32_MAX};
}

// How many scores are above a range, and which are in it: the key of each and,
// in the lower bits, its place, so that of equal ones the first is the highest.
struct Found {
  int64_t above = 0;
  int64_t near = 0;
  int64_t room;                         // of `entries`
  std::unique_ptr<uint64_t[]> entries;  // memory that is not reached costs none

  explicit Found(int64_t room)
      : room(room), entries(new (std::nothrow) uint64_t[room]) {}
};

// Marks the scores above a range, and finds those in it; false if these are too
// many.
bool MarkAbove(const Largest& l, const Range& range, Found* found) {
  for (int64_t begin = 0; begin < l.n; begin += kAtOnce) {
    const int64_t end = std::min(begin + kAtOnce, l.n);
    int above, from_low;
    MarkBlock(l, begin, end, range.high, range.low + 1, &above, &from_low);
    found->above += above;
    if (from_low == above) continue;
    if (found->near + kAtOnce > found->room) return false;
    uint64_t* entry = &found->entries[found->near];
    for (int64_t i = begin; i < end; ++i) {  // without a branch
      const uint32_t key = Key(l, i);
      *entry = uint64_t{key} << 32 | (UINT32_MAX - static_cast<uint32_t>(i));
      entry += (key > range.low) & (key <= range.high);
    }
    found->near = entry - found->entries.get();
  }
  return true;
}

// Marks what is above a key, and the first `left` of those that have it.
void MarkFrom(const Largest& l, uint32_t lowest, int64_t left) {
  for (int64_t begin = 0; begin < l.n; begin += kAtOnce) {
    const int64_t end = std::min(begin + kAtOnce, l.n);
    int above, from_lowest;
    MarkBlock(l, begin, end, lowest, lowest, &above, &from_lowest);
    for (int64_t i = begin; from_lowest > above && left > 0; ++i) {
      if (Key(l, i) != lowest) continue;
      l.mask[i] = 1;
      --from_lowest, --left;
    }
  }
}

// Does what RunLargest does if the count-th highest score has this key; else
// returns false.
bool RunByTie(const Largest& l, uint32_t key) {
  int64_t all_above = 0, all_from = 0;
  for (int64_t begin = 0; begin < l.n; begin += kAtOnce) {
    int above, from;
    MarkBlock(l, begin, std::min(begin + kAtOnce, l.n), key, key, &above,
              &from);
    all_above += above;
    all_from += from;
  }
  if (l.count <= all_above || l.count > all_from) return false;
  MarkFrom(l, key, l.count - all_above);
  return true;
}

// Does what RunLargest does if the guess is good and holds few; else returns
// false.
bool RunByGuess(const Largest& l) {
  const Range range = Guess(l);
  if (range.low == range.high) return RunByTie(l, range.low);
  Found found(l.n / 4);
  if (!found.entries || !MarkAbove(l, range, &found)) return false;
  const int64_t missing = l.count - found.above;
  if (missing > found.near) return RunByTie(l, range.low);
  if (missing < 0) return false;
  uint64_t* const first = found.entries.get();
  std::nth_element(first, first + missing, first + found.near,
                   std::greater<uint64_t>());
  for (int64_t k = 0; k < missing; ++k) {
    l.mask[UINT32_MAX - static_cast<uint32_t>(first[k])] = 1;
  }
  return true;
}

// Among the keys whose leading bits are `prefix`, finds the next `bits` bits of
// the one that is the left-th highest, and leaves in `left` which of those that
// share them it is. `shift` is how many bits follow.
uint32_t NextBits(const Largest& l, uint32_t prefix, int shift, int bits,
                  int64_t* left) {
  constexpr int kCounters = 4;  // since one would wait for itself
  const uint32_t bins = 1u << bits;
  std::vector<int64_t> counts(kCounters * bins);
  for (int64_t i = 0; i < l.n; ++i) {
    const uint64_t key = Key(l, i);
    if (key >> (shift + bits) != prefix) continue;
    ++counts[kCounters * ((key >> shift) & (bins - 1)) + i % kCounters];
  }
  const auto scores_in = [&counts](uint32_t bin) {
    const auto first = counts.begin() + kCounters * bin;
    return std::accumulate(first, first + kCounters, int64_t{0});
  };
  uint32_t bin = bins - 1;
  for (; *left > scores_in(bin); --bin) *left -= scores_in(bin);
  return prefix * bins + bin;
}

}  // namespace

void RunLargest(const Largest& l) {
  const int64_t meant = std::count(l.among, l.among + l.n, 1);
  if (l.count == 0 || l.count >= meant) {
    std::transform(l.among, l.among + l.n, l.mask,
                   [&l](uint8_t is) { return l.count == 0 ? 0 : is; });
    return;
  }
  if (l.n > 4 * kSample && l.n <= UINT32_MAX && RunByGuess(l)) return;
  int64_t left = l.count;
  uint32_t lowest = 0;
  for (int shift : {21, 10, 0}) {
    lowest = NextBits(l, lowest, shift, shift == 0 ? 10 : 11, &left);
  }
  MarkFrom(l, lowest, left);
}

}  // namespace tf_pai

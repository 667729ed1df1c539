#include "largest.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <new>
#include <numeric>
#include <vector>

#include "counting.h"
#include "kernels.h"
#include "threshold.h"

namespace tf_pai {

namespace {

constexpr int kSample = 4096;  // scores

inline int32_t Key(const Largest& l, int64_t i) {
  return l.among[i] != 0 ? KeyOf<false>(l.scores[i]) : kNoKey;
}

// Keys (low, high] in which that of the count-th highest score is thought to
// be.
struct Range {
  int32_t low, high;
};

// From a sample: as far to both sides as that of another sample would hardly
// ever be.
Range Guess(const Largest& l) {
  std::vector<int32_t> sample(kSample);
  for (int64_t i = 0; i < kSample; ++i) sample[i] = Key(l, i * l.n / kSample);
  const double share = static_cast<double>(l.count) / l.n;
  const double spread = 4 * std::sqrt(kSample * share * (1 - share)) + 3;
  auto rest = sample.begin();  // the higher keys are before it
  const auto key_after = [&](double above) -> int32_t {  // so many keys
    const auto at = sample.begin() + static_cast<int64_t>(above);
    std::nth_element(rest, at, sample.end(), std::greater<int32_t>());
    rest = at;
    return *at;
  };
  const double above = share * kSample;
  Range range{kNoKey, INT32_MAX};
  if (above > spread) range.high = key_after(above - spread);
  if (above + spread < kSample) range.low = key_after(above + spread);
  return range;
}

// Memory for the places of scores in a range, which costs none where it is not
// reached.
struct Places {
  int64_t room;
  std::unique_ptr<int64_t[]> data;

  explicit Places(int64_t room)
      : room(room), data(new (std::nothrow) int64_t[room]) {}
};

// Marks the scores above a range, and finds those in it.
Marked Mark(const Largest& l, const Range& range, Places* places) {
  return KernelsFor(INT64_MAX).mark_above({l.scores, false, l.among, l.n,
                                           range.low, range.high, l.mask,
                                           places->data.get(), places->room});
}

// Marks what is above a key, and the first `left` of those that have it.
void MarkFrom(const Largest& l, int32_t lowest, int64_t left) {
  Places none(0);
  Mark(l, {lowest, lowest}, &none);
  for (int64_t i = 0; left > 0; ++i) {
    if (Key(l, i) != lowest) continue;
    l.mask[i] = 1;
    --left;
  }
}

// Does what RunLargest does if the count-th highest score has this key; else
// returns false.
bool RunByTie(const Largest& l, int32_t key) {
  if (key == kNoKey) return false;
  Places none(0);
  const Marked marked = Mark(l, {key - 1, key}, &none);
  const int64_t missing = l.count - marked.above;
  if (missing < 1 || missing > marked.near) return false;
  MarkFrom(l, key, missing);
  return true;
}

// Marks the highest `missing` of some scores, of equal ones the first.
void MarkHighest(const Largest& l, int64_t missing, int64_t near,
                 int64_t* places) {
  for (int64_t k = 0; k < near; ++k) {  // an order of keys, then of places
    const uint64_t key = static_cast<uint32_t>(Key(l, places[k]));
    places[k] = static_cast<int64_t>(key << 32 | (UINT32_MAX - places[k]));
  }
  std::nth_element(places, places + missing, places + near,
                   std::greater<int64_t>());
  for (int64_t k = 0; k < missing; ++k) {
    l.mask[UINT32_MAX - static_cast<uint32_t>(places[k])] = 1;
  }
}

// Does what RunLargest does if the guess is good and holds few; else returns
// false.
bool RunByGuess(const Largest& l) {
  const Range range = Guess(l);
  if (range.low == range.high) return RunByTie(l, range.low);
  Places places(l.n / 4);
  if (!places.data) return false;
  const Marked marked = Mark(l, range, &places);
  const int64_t missing = l.count - marked.above;
  if (missing > marked.near) return RunByTie(l, range.low);
  if (missing < 0 || marked.near > places.room) return false;
  MarkHighest(l, missing, marked.near, places.data.get());
  return true;
}

// An unsigned number in the order of the keys.
inline uint32_t Ordered(int32_t key) {
  return static_cast<uint32_t>(key) ^ 0x80000000u;
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
    const uint64_t key = Ordered(Key(l, i));
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
  const int64_t meant = CountNonzero(l.among, l.n);
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
  MarkFrom(l, static_cast<int32_t>(Ordered(lowest)), left);
}

}  // namespace tf_pai

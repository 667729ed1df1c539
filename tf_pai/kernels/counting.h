// Counts over many numbers.

#ifndef TF_PAI_KERNELS_COUNTING_H_
#define TF_PAI_KERNELS_COUNTING_H_

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace tf_pai {

// How many are not zero. A block's counters are bytes, so that as many are
// added at once as fit into a vector.
template <class T>
int64_t CountNonzero(const T* values, int64_t n) {
  constexpr int kCounters = 64, kRounds = 255;
  int64_t all = 0, i = 0;
  while (n - i >= kCounters) {
    uint8_t counts[kCounters] = {};
    const int rounds =
        static_cast<int>(std::min<int64_t>(kRounds, (n - i) / kCounters));
    for (int r = 0; r < rounds; ++r, i += kCounters) {
      for (int k = 0; k < kCounters; ++k) counts[k] += values[i + k] != 0;
    }
    for (int k = 0; k < kCounters; ++k) all += counts[k];
  }
  for (; i < n; ++i) all += values[i] != 0;
  return all;
}

// Whether none is NaN or infinite: their exponents have all bits.
inline bool AllFinite(const float* values, int64_t n) {
  constexpr int64_t kAtOnce = 4096;
  constexpr uint32_t kExponent = 0x7f800000u;
  for (int64_t begin = 0; begin < n; begin += kAtOnce) {
    uint32_t any = 0;
    for (int64_t i = begin; i < std::min(begin + kAtOnce, n); ++i) {
      uint32_t bits;
      std::memcpy(&bits, values + i, sizeof bits);
      any |= (bits & kExponent) == kExponent;
    }
    if (any != 0) return false;
  }
  return true;
}

}  // namespace tf_pai

#endif  // TF_PAI_KERNELS_COUNTING_H_

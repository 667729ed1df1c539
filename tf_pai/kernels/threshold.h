// The mask of the highest scores, found from where the threshold was one step
// before.

#ifndef TF_PAI_KERNELS_THRESHOLD_H_
#define TF_PAI_KERNELS_THRESHOLD_H_

#include <cstdint>
#include <cstring>

namespace tf_pai {

// An integer in the order of the floats, or of their magnitudes; that of -0 is
// that of 0, and NaN has its place too.
template <bool kMagnitude>
inline int32_t KeyOf(float score) {
  int32_t bits;
  std::memcpy(&bits, &score, sizeof bits);
  if (kMagnitude) return bits & INT32_MAX;
  const int32_t sign = bits >> 31;  // -1 of a negative one; without a branch
  return (bits ^ (sign & INT32_MAX)) - sign;
}

// What no score has as its key.
constexpr int32_t kNoKey = INT32_MIN;

struct HighestNear {
  const float* scores;
  int64_t n;
  int64_t count;       // how many are kept, from 0 to n
  bool magnitude;      // whether |scores| are compared
  const float* guess;  // low and high
  float* mask;         // of the count highest, the first of equal ones
  float* next;         // low and high for the next step
};

void RunHighestNear(const HighestNear& h);

}  // namespace tf_pai

#endif  // TF_PAI_KERNELS_THRESHOLD_H_

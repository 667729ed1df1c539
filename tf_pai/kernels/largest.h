// The mask of the highest of some scores.

#ifndef TF_PAI_KERNELS_LARGEST_H_
#define TF_PAI_KERNELS_LARGEST_H_

#include <cstdint>

namespace tf_pai {

struct Largest {
  const float* scores;
  const uint8_t* among;  // 1: the score is meant
  int64_t n;
  int64_t count;  // how many of these are marked: all if they are fewer
  uint8_t* mask;  // 1: of the count highest, the first of equal ones
};

// Takes at most two bytes of memory for each score, and mostly less than one.
void RunLargest(const Largest& l);

}  // namespace tf_pai

#endif  // TF_PAI_KERNELS_LARGEST_H_

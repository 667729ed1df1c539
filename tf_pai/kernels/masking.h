// Weights set to zero in place where a mask, packed to bits, is clear.

#ifndef TF_PAI_KERNELS_MASKING_H_
#define TF_PAI_KERNELS_MASKING_H_

#include <cstdint>
#include <vector>

#include "runtime.h"

namespace tf_pai {

// One bit per weight, 1 = kept, lowest bits first; whole words of 32 bits.
std::vector<uint32_t> PackedMask(const float* mask, int64_t n);

// Does not read what the pruned weights were: NaN becomes 0 as well.
void RunZeroPruned(const std::vector<uint32_t>& kept, int64_t n, float* weights,
                   Runtime* runtime);

}  // namespace tf_pai

#endif  // TF_PAI_KERNELS_MASKING_H_

// The kept positions of a weight matrix [rows, cols], as the ops receive them,
// and their validation. Nothing is read through an index before it is checked:
// an index out of range would be memory corruption.

#ifndef TF_PAI_KERNELS_STRUCTURE_H_
#define TF_PAI_KERNELS_STRUCTURE_H_

#include <cstdint>
#include <string>

#include "kernels.h"
#include "runtime.h"

namespace tf_pai {

// One order of a structure. CSR: `pointers` has rows + 1 entries and indices
// are columns; CSC: cols + 1 entries, and indices are rows.
struct Compressed {
  const int32_t* pointers;
  int64_t lines;  // rows of CSR, columns of CSC
  Indices indices;
  int64_t limit;  // indices are in [0, limit)
  int64_t nnz;
};

// Why the structure cannot be used; empty where it can.
std::string Problem(const Compressed& structure, const Kernels& kernels,
                    Runtime* runtime);

// out[i] = values[perm[i]], or the problem with perm.
std::string Gather(const float* values, const int32_t* perm, int64_t nnz,
                   Runtime* runtime, float* out);

}  // namespace tf_pai

#endif  // TF_PAI_KERNELS_STRUCTURE_H_

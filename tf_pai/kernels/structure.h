// The kept positions of a weight matrix [rows, cols], as the ops receive them,
// and their validation. Nothing is read through an index before it is checked:
// an index out of range would be memory corruption.

#ifndef TF_PAI_KERNELS_STRUCTURE_H_
#define TF_PAI_KERNELS_STRUCTURE_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "kernels.h"
#include "runtime.h"

namespace tf_pai {

// A pass over fewer weights is over before a second thread is awake.
inline constexpr int64_t kSerialWeights = 1 << 17;

// One order of a structure. CSR: `pointers` has rows + 1 entries and indices
// are columns; CSC: cols + 1 entries, and indices are rows.
struct Compressed {
  const int32_t* pointers;
  int64_t lines;  // rows of CSR, columns of CSC
  Indices indices;
  int64_t limit;  // indices are in [0, limit)
  int64_t nnz;
};

// The values of a structure, to be brought into the order of its indices.
struct Gathering {
  const float* values;
  const int32_t* perm;  // position in the indices -> position in values
  float* out;           // out[i] = values[perm[i]]
};

// Checks a structure and gathers its values, part by part.
class Preparation {
 public:
  // Checks the pointers. Without `gathering`, only checks.
  Preparation(const Compressed& structure, const Gathering* gathering,
              const Kernels& kernels);

  // The i-th of n parts of the indices, which may run at the same time.
  void Part(int64_t i, int64_t n);

  // Whether nothing wrong has been found.
  bool good() const { return problem_.empty() && good_indices_ && good_perm_; }

  // Why the structure cannot be used, or an empty string.
  std::string problem() const;

 private:
  const Compressed structure_;
  const Gathering* const gathering_;
  const Kernels& kernels_;
  const std::string problem_;
  std::atomic<bool> good_indices_{true}, good_perm_{true};
};

// All parts, shared by the threads; returns what `problem` does.
std::string Prepare(const Compressed& structure, const Gathering* gathering,
                    const Kernels& kernels, int threads, Runtime* runtime);

}  // namespace tf_pai

#endif  // TF_PAI_KERNELS_STRUCTURE_H_

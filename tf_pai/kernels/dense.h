// Drivers of the sparse Dense layer: tiles, threads, scratch memory.

#ifndef TF_PAI_KERNELS_DENSE_H_
#define TF_PAI_KERNELS_DENSE_H_

#include <cstdint>
#include <string>

#include "kernels.h"
#include "runtime.h"

namespace tf_pai {

// y = act(x w + bias) for x [batch, inputs] and w [inputs, outputs] in CSC,
// panel after panel of its rows: column j of panel i is line i * outputs + j.
struct DenseForwardCall {
  int64_t batch, inputs, outputs, panels, nnz;
  const float* x;
  const float* values;  // in CSR order
  const float* bias;    // or null
  bool relu;
  const int32_t* col_ptr;
  Indices row_idx;
  const int32_t* perm;  // position in row_idx -> position in values
  float* y;
};

// The gradients of the same by x, values and bias, with w in CSR.
struct DenseBackwardCall {
  int64_t batch, inputs, outputs, nnz;
  const float* x;
  const float* dy;
  const float* relu_output;  // y, or null without ReLU
  const float* values;       // in CSR order
  const int32_t* row_ptr;
  Indices col_idx;
  float* dx;       // or null: not needed
  float* dvalues;  // in CSR order
  float* dbias;    // or null
};

// Return what is wrong with the structure, or an empty string.
std::string RunDenseForward(const DenseForwardCall& call, Runtime* runtime);
std::string RunDenseBackward(const DenseBackwardCall& call, Runtime* runtime);

}  // namespace tf_pai

#endif  // TF_PAI_KERNELS_DENSE_H_

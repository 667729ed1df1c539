// Drivers of the sparse 2-D convolution: bands, threads, scratch memory.

#ifndef TF_PAI_KERNELS_CONV_H_
#define TF_PAI_KERNELS_CONV_H_

#include <cstdint>
#include <string>

#include "kernels.h"
#include "runtime.h"

namespace tf_pai {

// Images are NHWC. The kernel [kernel_height, kernel_width, in, out] is the
// matrix [kernel_height * kernel_width * in, out] of the structure.
struct ConvShape {
  int64_t batch;
  int height, width, in_channels, out_channels;
  int kernel_height, kernel_width;
  int stride_y, stride_x;
  int pad_y, pad_x;  // before the first row and column
  int out_height, out_width;

  int64_t matrix_rows() const {
    return int64_t{kernel_height} * kernel_width * in_channels;
  }
};

struct ConvForwardCall {
  ConvShape shape;
  int64_t panels;  // of the CSC order, as in dense.h
  int64_t nnz;
  const float* x;
  const float* values;  // in CSR order
  const float* bias;    // or null
  bool relu;
  const int32_t* col_ptr;
  Indices row_idx;
  const int32_t* perm;  // position in row_idx -> position in values
  float* y;
};

struct ConvBackwardCall {
  ConvShape shape;
  int64_t nnz;
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

// Return what is wrong with the call, or an empty string.
std::string RunConvForward(const ConvForwardCall& call, Runtime* runtime);
std::string RunConvBackward(const ConvBackwardCall& call, Runtime* runtime);

}  // namespace tf_pai

#endif  // TF_PAI_KERNELS_CONV_H_

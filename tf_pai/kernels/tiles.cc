// The tile kernels for one instruction set, the one whose vectors have
// TF_PAI_LANES floats. The build compiles this file once per instruction set;
// isa.cc picks one when the kernels run. No -march: a library built on one
// machine runs on another of the same architecture.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels.h"
#include "threshold.h"

#if TF_PAI_LANES == 4 || defined(__x86_64__)

#define TF_PAI_PRAGMA(TEXT) _Pragma(#TEXT)
#if defined(__clang__)
#define TF_PAI_TARGET(FEATURES)                                         \
  TF_PAI_PRAGMA(clang attribute push(__attribute__((target(FEATURES))), \
                                     apply_to = function))
#else
#define TF_PAI_TARGET(FEATURES) TF_PAI_PRAGMA(GCC target(FEATURES))
#endif

#if TF_PAI_LANES == 16
#define TF_PAI_NAME avx512
TF_PAI_TARGET("avx2,fma,avx512f,avx512vl,avx512dq,avx512bw")
#elif TF_PAI_LANES == 8
#define TF_PAI_NAME avx2
TF_PAI_TARGET("avx2,fma")
#else
#define TF_PAI_NAME base
#endif

namespace tf_pai {
namespace TF_PAI_NAME {

#include "vector.h"
//
#include "structure_tile.h"
//
#include "transpose_tile.h"
//
#include "dense_tile.h"
//
#include "conv_tile.h"
//
#include "threshold_tile.h"
//
#include "masking_tile.h"

const Kernels& Table() {
  static const Kernels table = {kLanes,        TransposeIn,  DenseForward,
                                DenseBackward, PackBand,     UnpackBand,
                                ConvForward,   ConvBackward, AllBelow,
                                Gather,        MarkAbove,    ZeroPruned};
  return table;
}

}  // namespace TF_PAI_NAME
}  // namespace tf_pai

#if defined(__clang__) && TF_PAI_LANES > 4
#pragma clang attribute pop
#endif

#endif  // TF_PAI_LANES == 4 || defined(__x86_64__)

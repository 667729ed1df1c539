#include "masking.h"

#include <algorithm>

#include "kernels.h"

namespace tf_pai {

namespace {

constexpr int64_t kPart = int64_t{1} << 16;  // weights per task

}  // namespace

std::vector<uint32_t> PackedMask(const float* mask, int64_t n) {
  std::vector<uint32_t> kept((n + 31) / 32);
  for (int64_t i = 0; i < n; ++i) {
    kept[i / 32] |= uint32_t{mask[i] != 0} << i % 32;
  }
  return kept;
}

void RunZeroPruned(const std::vector<uint32_t>& kept, int64_t n, float* weights,
                   Runtime* runtime) {
  const Kernels& kernels = KernelsFor(INT64_MAX);
  runtime->For((n + kPart - 1) / kPart, [&](int64_t part) {
    const int64_t begin = part * kPart, end = std::min(n, begin + kPart);
    kernels.zero_pruned(kept.data() + begin / 32, end - begin, weights + begin);
  });
}

}  // namespace tf_pai

// Picks the instruction set when the kernels run.

#include <cstdlib>
#include <string>

#include "kernels.h"

namespace tf_pai {

namespace base {
const Kernels& Table();
}
namespace avx2 {
const Kernels& Table();
}
namespace avx512 {
const Kernels& Table();
}

namespace {

bool HasAvx2() {
#ifdef __x86_64__
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

bool HasAvx512() {
#ifdef __x86_64__
  return HasAvx2() && __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw");
#else
  return false;
#endif
}

int DetectLanes() {
  const char* value = std::getenv("TF_PAI_ISA");
  const std::string allowed = value != nullptr ? value : "";
  if (allowed == "base" || !HasAvx2()) return 4;
  return allowed == "avx2" || !HasAvx512() ? 8 : 16;
}

}  // namespace

int WidestLanes() {
  static const int lanes = DetectLanes();
  return lanes;
}

const Kernels& KernelsFor(int64_t rows) {
#ifdef __x86_64__
  if (WidestLanes() == 16 && rows > 8) return avx512::Table();
  if (WidestLanes() >= 8 && rows > 4) return avx2::Table();
#endif
  return base::Table();
}

}  // namespace tf_pai

#include "structure.h"

#include <atomic>

namespace tf_pai {

namespace {

std::string PointerProblem(const Compressed& s) {
  if (s.pointers[0] != 0) return "the first pointer must be 0";
  for (int64_t i = 0; i < s.lines; ++i) {
    if (s.pointers[i] > s.pointers[i + 1]) {
      return "pointers must not go down, but pointer " + std::to_string(i + 1) +
             " is " + std::to_string(s.pointers[i + 1]) + " after " +
             std::to_string(s.pointers[i]);
    }
  }
  if (s.pointers[s.lines] != s.nnz) {
    return "the last pointer must be the number of values, " +
           std::to_string(s.nnz) + ", not " +
           std::to_string(s.pointers[s.lines]);
  }
  return "";
}

}  // namespace

std::string Prepare(const Compressed& s, const Gathering* gathering,
                    const Kernels& kernels, int threads, Runtime* runtime,
                    const SideWork& side) {
  const std::string problem = PointerProblem(s);
  if (!problem.empty()) return problem;
  const int64_t parts = s.nnz < kSerialWeights ? 1 : threads;
  std::atomic<bool> good_indices{true}, good_perm{true};
  runtime->For(parts + side.count, [&](int64_t i) {
    if (i >= parts) {
      side.task(i - parts);
      return;
    }
    const int64_t begin = PartBegin(s.nnz, i, parts);
    const int64_t end = PartBegin(s.nnz, i + 1, parts);
    if (!kernels.all_below(s.indices, begin, end, s.limit)) {
      good_indices = false;
    }
    if (gathering != nullptr &&
        !kernels.gather(gathering->values, gathering->perm, s.nnz, begin, end,
                        gathering->out)) {
      good_perm = false;
    }
  });
  if (!good_indices) {
    return "indices must be in [0, " + std::to_string(s.limit) + ")";
  }
  if (!good_perm) {
    return "the permutation must be in [0, " + std::to_string(s.nnz) + ")";
  }
  return "";
}

}  // namespace tf_pai

#include "structure.h"

#include <atomic>

namespace tf_pai {

namespace {

constexpr int64_t kSerial = 1 << 16;  // below, a second thread costs more

// Calls f(begin, end) on parts of [0, n), on all threads where it is worth it.
// Returns whether all calls returned true.
template <class F>
bool AllParts(int64_t n, Runtime* runtime, const F& f) {
  const int64_t parts = n < kSerial ? 1 : runtime->threads();
  std::atomic<bool> good{true};
  runtime->For(parts, [&](int64_t i) {
    if (!f(PartBegin(n, i, parts), PartBegin(n, i + 1, parts))) good = false;
  });
  return good;
}

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

std::string Problem(const Compressed& s, const Kernels& kernels,
                    Runtime* runtime) {
  const std::string problem = PointerProblem(s);
  if (!problem.empty()) return problem;
  const bool good = AllParts(s.nnz, runtime, [&](int64_t begin, int64_t end) {
    return kernels.all_below(s.indices, begin, end, s.limit);
  });
  if (good) return "";
  return "indices must be in [0, " + std::to_string(s.limit) + ")";
}

std::string Gather(const float* values, const int32_t* perm, int64_t nnz,
                   Runtime* runtime, float* out) {
  const auto gather = [&](int64_t begin, int64_t end) {
    bool good = true;
    for (int64_t i = begin; i < end; ++i) {
      const uint32_t from = static_cast<uint32_t>(perm[i]);
      const bool valid = from < static_cast<uint64_t>(nnz);
      good &= valid;
      out[i] = values[valid ? from : 0];
    }
    return good;
  };
  if (AllParts(nnz, runtime, gather)) return "";
  return "the permutation must be in [0, " + std::to_string(nnz) + ")";
}

}  // namespace tf_pai

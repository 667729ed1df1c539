#include "structure.h"

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

Preparation::Preparation(const Compressed& structure,
                         const Gathering* gathering, const Kernels& kernels)
    : structure_(structure),
      gathering_(gathering),
      kernels_(kernels),
      problem_(PointerProblem(structure)) {}

void Preparation::Part(int64_t i, int64_t n) {
  const Compressed& s = structure_;
  const int64_t begin = PartBegin(s.nnz, i, n);
  const int64_t end = PartBegin(s.nnz, i + 1, n);
  if (!kernels_.all_below(s.indices, begin, end, s.limit)) {
    good_indices_ = false;
  }
  if (gathering_ != nullptr &&
      !kernels_.gather(gathering_->values, gathering_->perm, s.nnz, begin, end,
                       gathering_->out)) {
    good_perm_ = false;
  }
}

std::string Preparation::problem() const {
  if (!problem_.empty()) return problem_;
  if (!good_indices_) {
    return "indices must be in [0, " + std::to_string(structure_.limit) + ")";
  }
  if (!good_perm_) {
    return "the permutation must be in [0, " + std::to_string(structure_.nnz) +
           ")";
  }
  return "";
}

std::string Prepare(const Compressed& structure, const Gathering* gathering,
                    const Kernels& kernels, int threads, Runtime* runtime) {
  Preparation preparation(structure, gathering, kernels);
  if (!preparation.good()) return preparation.problem();
  const int64_t parts = structure.nnz < kSerialWeights ? 1 : threads;
  runtime->For(parts, [&](int64_t i) { preparation.Part(i, parts); });
  return preparation.problem();
}

}  // namespace tf_pai

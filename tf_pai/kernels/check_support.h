// What check.cc needs: threads and memory, random matrices, and what is expected.

#ifndef TF_PAI_KERNELS_CHECK_SUPPORT_H_
#define TF_PAI_KERNELS_CHECK_SUPPORT_H_

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kernels.h"
#include "runtime.h"
#include "shared_tasks.h"

using tf_pai::Indices;
using Floats = std::vector<float>;

constexpr int kPanelRows = 32;  // small, so that small layers have many panels

// Divides tasks as the ops do, among new threads; the last may begin when the
// kernel is over.
class ThreadRuntime : public tf_pai::Runtime {
 public:
  explicit ThreadRuntime(int threads) : threads_(threads) {}

  ~ThreadRuntime() override {
    for (std::thread& thread : started_) thread.join();
  }

  int threads() const override { return threads_; }

  void Run(const std::vector<tf_pai::Stage>& stages) override {
    tf_pai::RunShared(stages, threads_, [this](std::function<void()> work) {
      started_.emplace_back(std::move(work));
    });
  }

  // Aligned, and of exactly the size asked for, so that the sanitizer sees any
  // access beyond; not a number, so that a use of what was not written shows.
  float* Scratch(int64_t floats) override {
    const size_t bytes = std::max<int64_t>(floats, 1) * sizeof(float);
    void* memory = nullptr;
    if (posix_memalign(&memory, 64, bytes) != 0) return nullptr;
    held_.emplace_back(memory, std::free);
    std::fill_n(static_cast<float*>(memory), std::max<int64_t>(floats, 1), NAN);
    return static_cast<float*>(memory);
  }

 private:
  int threads_;
  std::vector<std::thread> started_;
  std::vector<std::unique_ptr<void, void (*)(void*)>> held_;
};

inline std::mt19937 generator(1);

inline int Random(int low, int high) {
  return std::uniform_int_distribution<int>(low, high)(generator);
}

inline Floats RandomFloats(int64_t n) {
  std::normal_distribution<float> normal;
  Floats values(n);
  for (float& value : values) value = normal(generator);
  return values;
}

// A random sparse matrix with its structure in both orders and widths.
struct Matrix {
  int rows, cols;
  int panels;
  std::vector<int32_t> row_ptr, col_ptr, perm, row_idx, col_idx;
  std::vector<uint16_t> short_rows, short_cols;
  Floats values;

  Matrix(int rows, int cols, double density)
      : rows(rows),
        cols(cols),
        panels(std::max(1, (rows + kPanelRows - 1) / kPanelRows)),
        row_ptr(rows + 1),
        col_ptr(panels * cols + 1) {
    std::bernoulli_distribution kept(density);
    std::vector<int32_t> row_of;
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < cols; ++j) {
        if (!kept(generator)) continue;
        row_of.push_back(i);
        col_idx.push_back(j);
        ++col_ptr[i / kPanelRows * cols + j + 1];
      }
      row_ptr[i + 1] = static_cast<int32_t>(col_idx.size());
    }
    std::partial_sum(col_ptr.begin(), col_ptr.end(), col_ptr.begin());
    perm.resize(nnz());
    row_idx.resize(nnz());
    std::vector<int32_t> next = col_ptr;
    for (int p = 0; p < nnz(); ++p) {
      const int to = next[row_of[p] / kPanelRows * cols + col_idx[p]]++;
      perm[to] = p;
      row_idx[to] = row_of[p];
    }
    short_rows.assign(row_idx.begin(), row_idx.end());
    short_cols.assign(col_idx.begin(), col_idx.end());
    values = RandomFloats(nnz());
  }

  int nnz() const { return static_cast<int>(col_idx.size()); }
  Indices Rows(bool wide) const {
    if (wide) return {row_idx.data(), true};
    return {short_rows.data(), false};
  }
  Indices Cols(bool wide) const {
    if (wide) return {col_idx.data(), true};
    return {short_cols.data(), false};
  }
};

inline int failures = 0;

inline void Expect(bool good, const std::string& what) {
  if (good) return;
  std::printf("FAILED: %s\n", what.c_str());
  ++failures;
}

inline void ExpectNear(const Floats& got, const std::vector<double>& expected,
                const std::string& what) {
  double largest = 1, error = 0;
  bool written = true;  // what is not written stays NaN
  for (size_t i = 0; i < got.size(); ++i) {
    written = written && !std::isnan(got[i]);
    largest = std::max(largest, std::fabs(expected[i]));
    error = std::max(error, std::fabs(got[i] - expected[i]));
  }
  Expect(written, what + ": not a number");
  Expect(error <= 1e-5 * largest, what + ": error " + std::to_string(error));
}

// Calls f(row, col, p) for every weight.
template <class F>
void ForEach(const Matrix& w, F f) {
  for (int row = 0; row < w.rows; ++row) {
    for (int p = w.row_ptr[row]; p < w.row_ptr[row + 1]; ++p) {
      f(row, w.col_idx[p], p);
    }
  }
}

#endif  // TF_PAI_KERNELS_CHECK_SUPPORT_H_

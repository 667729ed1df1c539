// Where kept weights are: as rising row-major positions, and as the two orders
// of a structure (see tf_pai/kernels/structure.py).

#ifndef TF_PAI_KERNELS_PLACES_H_
#define TF_PAI_KERNELS_PLACES_H_

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

namespace tf_pai {

struct FlatPositions {
  const int32_t* row_ptr;  // checked: see structure.h
  int64_t rows, cols;
  int64_t* flat;  // [nnz]
};

template <class Index>
void RunFlatPositions(const FlatPositions& f, const Index* col_idx) {
  for (int64_t row = 0; row < f.rows; ++row) {
    for (int32_t p = f.row_ptr[row]; p < f.row_ptr[row + 1]; ++p) {
      f.flat[p] = row * f.cols + col_idx[p];
    }
  }
}

// The arrays of a structure of a matrix [rows, cols], its rows in `panels`.
template <class Index>
struct Orders {
  int64_t rows, cols, panels;
  int32_t* row_ptr;  // [rows + 1]
  Index* col_idx;    // [nnz]
  int32_t* col_ptr;  // [panels * cols + 1]
  Index* row_idx;    // [nnz]
  int32_t* perm;     // [nnz]
};

// The rows, and each weight's column. Returns why positions cannot be used, or
// an empty string.
template <class Index>
std::string FillRows(const int64_t* flat, int64_t nnz, const Orders<Index>& o) {
  int64_t row = 0, before = -1;
  o.row_ptr[0] = 0;
  for (int64_t p = 0; p < nnz; ++p) {
    if (flat[p] <= before) {
      return "positions must rise, but " + std::to_string(flat[p]) +
             " is after " + std::to_string(before);
    }
    if (flat[p] >= o.rows * o.cols) {
      return "positions must be below " + std::to_string(o.rows * o.cols) +
             ", unlike " + std::to_string(flat[p]);
    }
    before = flat[p];
    while (before >= (row + 1) * o.cols) o.row_ptr[++row] = p;
    o.col_idx[p] = static_cast<Index>(before - row * o.cols);
  }
  while (row < o.rows) o.row_ptr[++row] = nnz;
  return "";
}

// The columns of each panel, from the rows: a counting sort.
template <class Index>
void FillColumns(const Orders<Index>& o) {
  int32_t begin = 0;
  for (int64_t panel = 0; panel < o.panels; ++panel) {
    const int64_t first = o.rows * panel / o.panels;
    const int64_t last = o.rows * (panel + 1) / o.panels;
    int32_t* next = o.col_ptr + panel * o.cols;  // where each column goes on
    for (int64_t col = 0; col < o.cols; ++col) next[col] = 0;
    for (int32_t p = o.row_ptr[first]; p < o.row_ptr[last]; ++p) {
      ++next[o.col_idx[p]];
    }
    for (int64_t col = 0, at = begin; col < o.cols; ++col) {
      const int32_t count = next[col];
      next[col] = at;
      at += count;
    }
    for (int64_t row = first; row < last; ++row) {
      for (int32_t p = o.row_ptr[row]; p < o.row_ptr[row + 1]; ++p) {
        const int32_t at = next[o.col_idx[p]]++;
        o.row_idx[at] = static_cast<Index>(row);
        o.perm[at] = p;
      }
    }
    for (int64_t col = o.cols; --col > 0;) next[col] = next[col - 1];
    if (o.cols > 0) next[0] = begin;
    begin = o.row_ptr[last];
  }
  o.col_ptr[o.panels * o.cols] = begin;
}

// Writes values at those of some rising positions that are in [offset, offset +
// n) of a whole of which `part` is a part, offset >= 0; others are left out.
template <class T>
void Put(const int64_t* flat, const T* values, int64_t count, int64_t offset,
         T* part, int64_t n) {
  const int64_t* first = std::lower_bound(flat, flat + count, offset);
  for (const int64_t* p = first; p < flat + count; ++p) {
    if (*p < offset) continue;  // they do not rise
    if (*p - offset >= n) return;
    part[*p - offset] = values[p - flat];
  }
}

// Sets the bits of some positions, the highest bit of a byte first; returns
// whether all were in [0, 8 * bytes).
inline bool SetBits(const int64_t* flat, int64_t count, uint8_t* packed,
                    int64_t bytes) {
  bool good = true;
  for (int64_t p = 0; p < count; ++p) {
    const bool is_there = flat[p] >= 0 && flat[p] / 8 < bytes;
    good &= is_there;
    if (is_there) packed[flat[p] / 8] |= 128 >> flat[p] % 8;
  }
  return good;
}

inline int64_t CountBits(const uint8_t* packed, int64_t bytes) {
  int64_t all = 0, i = 0;
  for (; i + 8 <= bytes; i += 8) {
    uint64_t word;
    std::memcpy(&word, packed + i, sizeof word);
    all += __builtin_popcountll(word);
  }
  for (; i < bytes; ++i) all += __builtin_popcount(packed[i]);
  return all;
}

}  // namespace tf_pai

#endif  // TF_PAI_KERNELS_PLACES_H_

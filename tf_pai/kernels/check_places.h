// Checks of what is computed with the places of kept weights.

#ifndef TF_PAI_KERNELS_CHECK_PLACES_H_
#define TF_PAI_KERNELS_CHECK_PLACES_H_

#include <string>
#include <vector>

#include "check_support.h"
#include "places.h"

// Positions -> both orders -> positions; each weight is in both orders once.
inline void CheckPlaces(int rows, int cols, int panels, int tenths) {
  std::vector<int64_t> flat;
  for (int i = 0; i < rows * cols; ++i) {
    if (Random(0, 9) < tenths) flat.push_back(i);
  }
  const int nnz = static_cast<int>(flat.size());
  std::vector<int32_t> row_ptr(rows + 1), col_ptr(panels * cols + 1), perm(nnz);
  std::vector<uint16_t> col_idx(nnz), row_idx(nnz);
  const tf_pai::Orders<uint16_t> orders = {
      rows,           cols,           panels,         row_ptr.data(),
      col_idx.data(), col_ptr.data(), row_idx.data(), perm.data()};
  bool right = tf_pai::FillRows(flat.data(), nnz, orders).empty();
  tf_pai::FillColumns(orders);
  std::vector<int64_t> back(nnz);
  tf_pai::RunFlatPositions({row_ptr.data(), rows, cols, back.data()},
                           col_idx.data());
  right &= back == flat;
  for (int64_t line = 0; line < panels * cols; ++line) {
    for (int p = col_ptr[line]; p < col_ptr[line + 1]; ++p) {
      right &= flat[perm[p]] == row_idx[p] * cols + line % cols;
      right &= p == col_ptr[line] || row_idx[p - 1] < row_idx[p];
    }
  }
  right &= col_ptr[0] == 0 && col_ptr[panels * cols] == nnz;
  // All, in two parts, and as bits.
  const int half = rows * cols / 2, size = rows * cols;
  std::vector<uint8_t> ones(nnz, 1), mask(size), bits(size / 8 + 1);
  tf_pai::Put(flat.data(), ones.data(), nnz, 0, mask.data(), half);
  tf_pai::Put(flat.data(), ones.data(), nnz, half, mask.data() + half,
              size - half);
  right &= tf_pai::SetBits(flat.data(), nnz, bits.data(), bits.size());
  right &= tf_pai::CountBits(bits.data(), bits.size()) == nnz;
  for (int i = 0; i < size; ++i)
    right &= (bits[i / 8] >> (7 - i % 8) & 1) == mask[i];
  for (int64_t i : flat) right &= mask[i] == 1;
  const int64_t outside = 8 * bits.size();
  right &= !tf_pai::SetBits(&outside, 1, bits.data(), bits.size());
  Expect(right, "places of " + std::to_string(nnz));
}

#endif  // TF_PAI_KERNELS_CHECK_PLACES_H_

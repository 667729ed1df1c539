// How the drivers of the sparse convolution cut batch and images.

#ifndef TF_PAI_KERNELS_CONV_COMMON_H_
#define TF_PAI_KERNELS_CONV_COMMON_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "conv.h"

namespace tf_pai {

inline constexpr int64_t kBandBytes = 512 << 10;  // of all bands of a thread
inline constexpr int kMinRows = 4;                // or the halo would dominate
inline constexpr int64_t kGroupBytes =
    8 << 10;                    // of lane-wise sums, in the L1 cache
inline constexpr int kRun = 8;  // vectors that one weight multiplies
inline constexpr double kSerialFlops =
    5e5;  // below, waking a thread costs more

inline constexpr char kNoMemory[] = "no memory for the scratch bands";
inline constexpr char kTooLarge[] =
    "one row of the image has too many channels x columns";

inline int Shift(int kernel, int stride) { return (kernel - 1) / stride; }

// Work is cut into tiles of `lanes` images, and those into bands of rows. Task
// i is band i % bands of tile i / bands; each thread has a fixed run of tasks.
struct Tasks {
  int64_t batch;
  int lanes;
  int rows;  // of all bands together
  int band_rows;
  int threads;

  int64_t tiles() const { return (batch + lanes - 1) / lanes; }
  int64_t bands() const { return (rows + band_rows - 1) / band_rows; }
  int64_t count() const { return tiles() * bands(); }
  int64_t parts() const { return std::min<int64_t>(count(), threads); }

  int64_t image(int64_t task) const { return task / bands() * lanes; }
  int images(int64_t task) const {
    return static_cast<int>(std::min<int64_t>(lanes, batch - image(task)));
  }
  int row(int64_t task) const {
    return static_cast<int>(task % bands()) * band_rows;
  }
  int row_count(int64_t task) const {
    return std::min(band_rows, rows - row(task));
  }
};

// Tiles of one vector of images, or of more where the rows are so short that a
// weight would otherwise multiply fewer than kRun vectors.
inline int TileLanes(const ConvShape& shape, const Kernels& kernels,
                     int threads) {
  const int64_t images = RoundUp(shape.batch, kernels.lanes);
  int vectors = 1;
  while (shape.out_width * vectors < kRun &&
         2 * vectors * kernels.lanes * threads <= images) {
    vectors *= 2;
  }
  return vectors * kernels.lanes;
}

// Rows per band, so that bands of about this size fit the cache.
inline int BandRows(int64_t floats_per_row, int64_t halo_floats, int rows) {
  const int64_t budget = kBandBytes / sizeof(float) - halo_floats;
  const int64_t fit = std::max<int64_t>(kMinRows, budget / floats_per_row);
  const int64_t bands = (rows + fit - 1) / fit;
  return static_cast<int>((rows + bands - 1) / bands);
}

inline int ThreadsFor(const ConvShape& s, int64_t nnz, const Runtime& runtime) {
  const double flops = 2.0 * nnz * s.batch * s.out_height * s.out_width;
  return flops < kSerialFlops ? 1 : std::max(1, runtime.threads());
}

// The input's pixels, in phases of the stride; rows and cols are per phase.
inline Planes InputPlanes(const ConvShape& s, int rows, int cols, int lanes) {
  return {s.in_channels,
          s.height,
          s.width,
          s.stride_y,
          s.stride_x,
          std::min(s.stride_y, s.kernel_height),
          std::min(s.stride_x, s.kernel_width),
          s.pad_y,
          s.pad_x,
          rows,
          cols,
          lanes};
}

// The output's pixels, after a halo of pad_y rows and pad_x columns of zeros.
inline Planes OutputPlanes(const ConvShape& s, int pad_y, int pad_x, int rows,
                           int cols, int lanes) {
  return {s.out_channels, s.out_height, s.out_width, 1,    1,    1, 1,
          pad_y,          pad_x,        rows,        cols, lanes};
}

inline bool Fits(const Planes& planes) {
  return planes.size() <= std::numeric_limits<int32_t>::max();
}

inline int64_t ImageSize(const Planes& p) {
  return int64_t{p.height} * p.width * p.channels;
}

// Where a row of the weight matrix, (ky * kernel_width + kx) * in + channel,
// finds its pixels.
struct MatrixRow {
  int ky, kx, channel;
};
inline MatrixRow Decode(const ConvShape& s, int64_t row) {
  const int tap = static_cast<int>(row / s.in_channels);
  return {tap / s.kernel_width, tap % s.kernel_width,
          static_cast<int>(row % s.in_channels)};
}

struct TapArrays {
  std::vector<int32_t> ptr, offset;
  std::vector<float> values;
  Taps view() const { return {ptr.data(), offset.data(), values.data()}; }
};

inline int64_t IndexAt(const Indices& indices, int64_t i) {
  return indices.wide ? static_cast<const int32_t*>(indices.data)[i]
                      : static_cast<const uint16_t*>(indices.data)[i];
}

}  // namespace tf_pai

#endif  // TF_PAI_KERNELS_CONV_COMMON_H_

// The tile kernels and the table through which the drivers call them.
//
// A tile is a group of T batch rows ("lanes"), transposed so that the T values
// of one feature lie side by side: [features][T]. A kept weight then multiplies
// T/kLanes contiguous vectors, whatever the sparsity pattern is: the pattern
// decides which feature is read, never which lane. That is what makes
// unstructured sparsity as vectorizable as dense compute.

#ifndef TF_PAI_KERNELS_KERNELS_H_
#define TF_PAI_KERNELS_KERNELS_H_

#include <cstdint>

namespace tf_pai {

// The kept positions of a matrix in one of its two orders: `pointers` delimit
// the rows (CSR) or columns (CSC), `indices` hold the other coordinate, as
// uint16 or, where `wide`, as int32.
struct Indices {
  const void* data;
  bool wide;
};

// Batch rows [0, rows) of a row-major matrix and their transposed tile.
struct Transposition {
  const float* in;
  int64_t in_stride;
  int rows;  // rows that exist; lanes beyond them are zero (in) or dropped
  int lanes;
  float* out;
  int64_t out_stride;
};

// One panel of input rows: the forward pass takes them in panels whose part of
// x stays in the cache, and whose values lie close together in row-major order.
struct DenseForwardTile {
  const float* x;  // [inputs][vectors * kLanes]
  int vectors;
  bool first_panel, last_panel;
  const int32_t* col_ptr;  // of this panel
  Indices row_idx;
  const float* values;  // in the order of row_idx
  const float* bias;    // or null
  bool relu;
  float* y_tile;  // [outputs][vectors * kLanes]; null where there is one panel
  float* y;       // row-major, first row of the tile
  int64_t y_stride;
  int rows;
};

struct DenseBackwardTile {
  const float* x;  // row-major, first row of the tile
  int64_t x_stride;
  const float* dy;  // [outputs][vectors * kLanes]
  int vectors;
  const int32_t* row_ptr;
  Indices col_idx;
  const float* values;  // in CSR order
  float* dvalues;       // in CSR order
  bool accumulate;      // add to dvalues, instead of writing it
  float* dx;            // row-major, first row of the tile; null: not needed
  int64_t dx_stride;
  int rows;
};

// The kept weights of a convolution, grouped by the channel that they are added
// to, by the phase of the stride, and by the kernel's row: group g holds
// weights [ptr[g], ptr[g + 1]). A weight is a shift of `offset` floats and a
// factor.
struct Taps {
  const int32_t* ptr;
  const int32_t* offset;
  const float* values;
};

// A band of image rows for T images, [channels][phases][rows][cols][T]. The
// phases of a strided convolution are the pixels y % stride, x % stride: within
// one phase, neighbouring outputs read neighbouring inputs, as at stride 1.
struct Planes {
  int channels;
  int height, width;  // of the image
  int stride_y, stride_x;
  int phases_y, phases_x;
  int pad_y, pad_x;
  int rows, cols;  // of the band, per phase
  int lanes;       // T

  int64_t row_size() const { return int64_t{cols} * lanes; }
  int64_t phase_size() const { return rows * row_size(); }
  int64_t channel_size() const { return phases_y * phases_x * phase_size(); }
  int64_t size() const { return channels * channel_size(); }

  // First row (column) q of a phase whose pixel q * stride + phase - pad is in
  // the image, and the one after the last.
  static int First(int phase, int stride, int pad) {
    return pad > phase ? (pad - phase + stride - 1) / stride : 0;
  }
  static int Last(int phase, int stride, int pad, int length) {
    return (pad + length - 1 - phase + stride) / stride;
  }
  int FirstRow(int phase) const { return First(phase, stride_y, pad_y); }
  int LastRow(int phase) const { return Last(phase, stride_y, pad_y, height); }
  int FirstCol(int phase) const { return First(phase, stride_x, pad_x); }
  int LastCol(int phase) const { return Last(phase, stride_x, pad_x, width); }
};

// Moves rows [row, row + count) of the planes between images and band.
struct BandCopy {
  Planes planes;
  int row, count;
  int images;
  const float* relu_output;  // in: zero where this is not positive; or null
  float* sums;               // in: per-channel sums are added here; or null
  int sums_from;             // ... of the band's rows from this one on
};

struct ConvForwardBand {
  Taps taps;  // grouped by output channel and kernel row
  int kernel_height;
  Planes x, y;
  const float* x_band;
  float* y_band;
  int row, count;     // output rows
  const float* bias;  // or null
  bool relu;
};

struct ConvBackwardBand {
  Taps taps;  // grouped by input channel, phase and kernel row / stride
  int shifts_y;
  Planes x, dy;
  const float* x_band;
  const float* dy_band;
  float* dx_band;  // or null
  int row, count;  // rows of each phase
  int out_height;
  float* sums;     // scratch: kLanes floats for each tap of a channel group
  int group_taps;  // how many taps' sums are held at once, if they fit
  float* dvalues;  // in the order of the taps, added to
};

// Scores, as keys that are ordered integers, beside a range (low, high].
struct Marking {
  const float* scores;
  bool magnitude;        // whether their magnitudes are compared
  const uint8_t* among;  // 1: the score is meant; null: all are
  int64_t n;
  int32_t low, high;
  void* mask;     // out: 1 above high, else 0; bytes with `among`, else floats
  int64_t* near;  // out: which are in the range
  int64_t near_limit;
};

struct Marked {
  int64_t above;
  int64_t near;  // may exceed near_limit
};

struct Kernels {
  int lanes;  // kLanes

  void (*transpose_in)(const Transposition&, const float* relu_output,
                       float* sums, int begin, int end);
  void (*dense_forward)(const DenseForwardTile&, int begin, int end);
  void (*dense_backward)(const DenseBackwardTile&, int begin, int end);
  void (*pack_band)(const BandCopy&, const float* images, float* band);
  void (*unpack_band)(const BandCopy&, const float* band, float* images);
  void (*conv_forward)(const ConvForwardBand&);
  void (*conv_backward)(const ConvBackwardBand&);
  bool (*all_below)(const Indices&, int64_t begin, int64_t end, int64_t limit);
  bool (*gather)(const float* values, const int32_t* perm, int64_t n,
                 int64_t begin, int64_t end, float* out);
  Marked (*mark_above)(const Marking&);
  void (*zero_pruned)(const uint32_t* kept, int64_t n, float* weights);
};

// Floats per vector of the widest instruction set that this machine has and
// that the variable TF_PAI_ISA (avx512 | avx2 | base) allows: 16, 8 or 4.
int WidestLanes();

// The kernels of that set, or of a narrower one that `rows` batch rows fill.
const Kernels& KernelsFor(int64_t rows);

}  // namespace tf_pai

#endif  // TF_PAI_KERNELS_KERNELS_H_

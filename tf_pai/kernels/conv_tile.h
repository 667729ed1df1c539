// Tile kernels of a sparse 2-D convolution. A tile is T images, in bands of
// rows that fit the cache: [channels][phases][rows][cols][T], see Planes in
// kernels.h. A kept weight multiplies a run of neighbouring pixels x T images,
// shifted by the weight's place in the window: contiguous vectors, without
// im2col. Included by tiles.cc once per instruction set, after
// transpose_tile.h.

// Calls f(phase_y, phase_x, band row, image row) for the rows of the image.
template <class F>
static TF_PAI_INLINE void ForEachRow(const BandCopy& copy, F f) {
  const Planes& s = copy.planes;
  for (int py = 0; py < s.phases_y; ++py) {
    const int first = std::max(copy.row, s.FirstRow(py));
    const int last = std::min(copy.row + copy.count, s.LastRow(py));
    for (int px = 0; px < s.phases_x; ++px) {
      for (int q = first; q < last; ++q) {
        f(py, px, q - copy.row, q * s.stride_y + py - s.pad_y);
      }
    }
  }
}

// Where the pixel of column q starts, in the band and in the image.
static TF_PAI_INLINE int64_t BandAt(const Planes& s, int py, int px, int row,
                                    int q) {
  return (py * s.phases_x + px) * s.phase_size() + row * s.row_size() +
         int64_t{q} * s.lanes;
}
static TF_PAI_INLINE int64_t ImageAt(const Planes& s, int px, int y, int q) {
  return (int64_t{y} * s.width + q * s.stride_x + px - s.pad_x) * s.channels;
}

// Images (NHWC) -> band. Pixels outside the image are not written: the driver
// has zeroed the columns, and the rows are not read.
static void PackBand(const BandCopy& copy, const float* images, float* band) {
  const Planes& s = copy.planes;
  const int64_t image_size = int64_t{s.height} * s.width * s.channels;
  ForEachRow(copy, [&](int py, int px, int row, int y) {
    float* sums = row >= copy.sums_from ? copy.sums : nullptr;
    const int last = std::min(s.cols, s.LastCol(px));
    for (int q = s.FirstCol(px); q < last; ++q) {
      const int64_t from = ImageAt(s, px, y, q);
      TransposeInto<false>({images + from, image_size, copy.images, s.lanes,
                            band + BandAt(s, py, px, row, q), s.channel_size()},
                           copy.relu_output ? copy.relu_output + from : nullptr,
                           sums, 0, s.channels);
    }
  });
}

// Band -> images (NHWC).
static void UnpackBand(const BandCopy& copy, const float* band, float* images) {
  const Planes& s = copy.planes;
  const int64_t image_size = int64_t{s.height} * s.width * s.channels;
  ForEachRow(copy, [&](int py, int px, int row, int y) {
    const int last = std::min(s.cols, s.LastCol(px));
    for (int q = s.FirstCol(px); q < last; ++q) {
      TransposeOut(
          {band + BandAt(s, py, px, row, q), s.channel_size(), copy.images,
           s.lanes, images + ImageAt(s, px, y, q), image_size},
          0, s.channels);
    }
  });
}

constexpr int kMaxForwardRun = 8;
constexpr int kMaxBackwardRun = kLanes == 16 ? 8 : 4;  // registers

// Calls f.template Run<M>(start) for runs of M <= kMax vectors, of about equal
// length, that cover `vectors` vectors.
template <int kMax, class F>
static TF_PAI_INLINE void ForEachRun(int vectors, const F& f) {
  const int runs = (vectors + kMax - 1) / kMax;
  for (int i = 0; i < runs; ++i) {
    const int start = vectors * i / runs, stop = vectors * (i + 1) / runs;
    switch (stop - start) {
      case 1:
        f.template Run<1>(start * kLanes);
        break;
      case 2:
        f.template Run<2>(start * kLanes);
        break;
      case 3:
        f.template Run<3>(start * kLanes);
        break;
      case 4:
        f.template Run<4>(start * kLanes);
        break;
      case 5:
        f.template Run<5>(start * kLanes);
        break;
      case 6:
        f.template Run<6>(start * kLanes);
        break;
      case 7:
        f.template Run<7>(start * kLanes);
        break;
      default:
        f.template Run<8>(start * kLanes);
    }
  }
}

// One output row: y[c] = act(sum over kept weights of value * shifted x +
// bias). All output channels of a run are done before the next run, so that the
// few columns of x that it reads stay in the L1 cache.
struct ConvForwardRow {
  const ConvForwardBand& b;
  const float* x;
  float* y;
  int first_tap, last_tap;  // kernel rows that meet the image

  template <int M>
  TF_PAI_INLINE void Run(int start) const {
    const int64_t y_channel = b.y.channel_size();
    for (int c = 0; c < b.y.channels; ++c) {
      const int32_t* ptr = b.taps.ptr + c * b.kernel_height;
      Vec sum[M];
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) sum[i] = Vec{} + (b.bias ? b.bias[c] : 0.f);
      for (int p = ptr[first_tap], stop = ptr[last_tap]; p < stop; ++p) {
        const float v = b.taps.values[p];
        const float* in = x + start + b.taps.offset[p];
#pragma GCC unroll 8
        for (int i = 0; i < M; ++i) sum[i] += v * Load(in + i * kLanes);
      }
      float* out = y + start + c * y_channel;
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) {
        Store(out + i * kLanes, b.relu ? Relu(sum[i]) : sum[i]);
      }
    }
  }
};

static void ConvForward(const ConvForwardBand& b) {
  for (int r = 0; r < b.count; ++r) {
    const int top = (b.row + r) * b.x.stride_y - b.x.pad_y;
    const int first = std::min(std::max(0, -top), b.kernel_height);
    const int last =
        std::max(first, std::min(b.kernel_height, b.x.height - top));
    const ConvForwardRow row = {b, b.x_band + r * b.x.row_size(),
                                b.y_band + r * b.y.row_size(), first, last};
    ForEachRun<kMaxForwardRun>(b.y.cols * b.y.lanes / kLanes, row);
  }
}

// One row of one phase of one input channel: over its kept weights,
//   dx += value * shifted dy     and     sums[tap] += x * shifted dy,
//   lane-wise.
template <bool kNeedDx>
struct ConvBackwardRow {
  const ConvBackwardBand& b;
  const float* x;
  const float* dy;
  float* dx;
  float* sums;  // of tap `begin`
  int begin, end;

  template <int M>
  TF_PAI_INLINE void Run(int start) const {
    Vec pixel[M], sum[M];
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) {
      pixel[i] = Load(x + start + i * kLanes);
      sum[i] = Vec{};
    }
    for (int p = begin; p < end; ++p) {
      const float* from = dy + start + b.taps.offset[p];
      float* product = sums + int64_t{p - begin} * kLanes;
      Vec even = Load(product), odd = {};
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) {
        Vec g = Load(from + i * kLanes);
        TF_PAI_KEEP_IN_REGISTER(g);
        if (kNeedDx) sum[i] += b.taps.values[p] * g;
        if (i & 1) {
          odd += pixel[i] * g;
        } else {
          even += pixel[i] * g;
        }
      }
      Store(product, even + odd);
    }
    if (kNeedDx) {
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) Store(dx + start + i * kLanes, sum[i]);
    }
  }
};

// Adds the lane sums of taps [begin, end) to their gradients.
static void AddTapSums(const float* sums, int begin, int end, float* dvalues) {
  for (int p = begin; p < end; p += kLanes) {
    const int n = std::min(kLanes, end - p);
    Vec r[kLanes];
    for (int i = 0; i < kLanes; ++i) {
      r[i] = i < n ? Load(sums + int64_t{p - begin + i} * kLanes) : Vec{};
    }
    StoreUpTo(dvalues + p, LoadUpTo(dvalues + p, n) + SumEach(r), n);
  }
}

// Row r of the band, for input channel c and one phase.
template <bool kNeedDx>
static void ConvBackwardPhaseRow(const ConvBackwardBand& b, int c, int phase,
                                 int r, int group_begin) {
  const int q = b.row + r;
  const int py = phase / b.x.phases_x, px = phase % b.x.phases_x;
  if (q < b.x.FirstRow(py) || q >= b.x.LastRow(py)) return;
  const int phases = b.x.phases_y * b.x.phases_x;
  const int32_t* ptr = b.taps.ptr + int64_t{c * phases + phase} * b.shifts_y;
  const int first =  // shifts of the kernel row that meet a row of dY
      std::min(std::max(0, q - b.out_height + 1), b.shifts_y);
  const int last = std::max(first, std::min(b.shifts_y, q + 1));
  const int col = b.x.FirstCol(px);
  const int cols = std::min(b.x.cols, b.x.LastCol(px)) - col;
  const int64_t at = c * b.x.channel_size() + phase * b.x.phase_size() +
                     r * b.x.row_size() + int64_t{col} * b.x.lanes;
  const ConvBackwardRow<kNeedDx> row = {
      b,
      b.x_band + at,
      b.dy_band + r * b.dy.row_size() + int64_t{col} * b.dy.lanes,
      kNeedDx ? b.dx_band + at : nullptr,
      b.sums + int64_t{ptr[first] - group_begin} * kLanes,
      ptr[first],
      ptr[last]};
  ForEachRun<kMaxBackwardRun>(cols * b.x.lanes / kLanes, row);
}

// Channels are taken in groups whose lane-wise sums fit the L1 cache; within a
// group the rows of dY that were just read are read again by the next channel.
template <bool kNeedDx>
static void ConvBackwardBandOf(const ConvBackwardBand& b) {
  const int phases = b.x.phases_y * b.x.phases_x;
  const int per_channel = phases * b.shifts_y;
  for (int c = 0, next; c < b.x.channels; c = next) {
    const int begin = b.taps.ptr[int64_t{c} * per_channel];
    next = c + 1;
    while (next < b.x.channels &&
           b.taps.ptr[(next + int64_t{1}) * per_channel] - begin <=
               b.group_taps) {
      ++next;
    }
    const int end = b.taps.ptr[int64_t{next} * per_channel];
    std::memset(b.sums, 0, sizeof(float) * kLanes * (end - begin));
    for (int r = 0; r < b.count; ++r) {
      for (int k = c; k < next; ++k) {
        for (int phase = 0; phase < phases; ++phase) {
          ConvBackwardPhaseRow<kNeedDx>(b, k, phase, r, begin);
        }
      }
    }
    AddTapSums(b.sums, begin, end, b.dvalues);
  }
}

static void ConvBackward(const ConvBackwardBand& b) {
  b.dx_band != nullptr ? ConvBackwardBandOf<true>(b)
                       : ConvBackwardBandOf<false>(b);
}

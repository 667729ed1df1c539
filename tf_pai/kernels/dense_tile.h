// Tile kernels of a sparse Dense layer; see kernels.h for what a tile is.
// Included by isa.cc once per instruction set, after vector.h.

// Transposes kLanes rows of features [k, k + n) in registers.
static TF_PAI_INLINE void LoadBlock(const Transposition& t, const float* from,
                                    int row, int k, int n, Vec* r) {
  const float* p = from + row * t.in_stride + k;
  if (n == kLanes && row + kLanes <= t.rows) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) r[i] = LoadLoose(p + i * t.in_stride);
    return;
  }
  for (int i = 0; i < kLanes; ++i) {
    r[i] = row + i < t.rows ? LoadUpTo(p + i * t.in_stride, n) : Vec{};
  }
}

// Asks for what is read kAhead features later, of these rows or of the next: so
// many rows, last written by another processor, the hardware does not foresee.
static TF_PAI_INLINE void PrefetchBlock(const Transposition& t,
                                        const float* from, int row, int k) {
  constexpr int kAhead = 64;
  if (row + kLanes > t.rows) return;
  for (int i = 0; i < kLanes; ++i) {
    __builtin_prefetch(from + (row + i) * t.in_stride + k + kAhead);
  }
}

// Row-major features [begin, end) -> tile. Fuses the two things that the
// backward pass asks of dY: the mask of a ReLU, and the column sums (bias).
template <bool kPrefetch>
static TF_PAI_INLINE void TransposeInto(const Transposition& t,
                                        const float* relu_output, float* sums,
                                        int begin, int end) {
  for (int row = 0; row < t.lanes; row += kLanes) {
    for (int k = begin; k < end; k += kLanes) {
      const int n = std::min(kLanes, end - k);
      Vec r[kLanes];
      if (kPrefetch) PrefetchBlock(t, t.in, row, k);
      LoadBlock(t, t.in, row, k, n, r);
      if (relu_output != nullptr) {
        Vec y[kLanes];
        if (kPrefetch) PrefetchBlock(t, relu_output, row, k);
        LoadBlock(t, relu_output, row, k, n, y);
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) r[i] = WherePositive(y[i], r[i]);
      }
      if (sums != nullptr) {
        Vec sum = LoadUpTo(sums + k, n);
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) sum += r[i];
        StoreUpTo(sums + k, sum, n);
      }
      Transpose(r);
      float* out = t.out + k * t.out_stride + row;
      if (n == kLanes) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) Store(out + i * t.out_stride, r[i]);
      } else {
        for (int i = 0; i < n; ++i) Store(out + i * t.out_stride, r[i]);
      }
    }
  }
}

static void TransposeIn(const Transposition& t, const float* relu_output,
                        float* sums, int begin, int end) {
  TransposeInto<true>(t, relu_output, sums, begin, end);
}

// Asks for the lines that TransposeOut writes when they are computed: a store
// that waits for a line from another processor holds up those behind it.
static TF_PAI_INLINE void PrefetchOut(float* out, int64_t stride, int rows) {
  for (int row = 0; row < rows; ++row) {
    __builtin_prefetch(out + row * stride, 1, 2);
  }
}

// Tile features [begin, end) -> row-major. `t.in` starts at feature `begin`.
static TF_PAI_INLINE void TransposeOut(const Transposition& t, int begin,
                                       int end) {
  for (int k = begin; k < end; k += kLanes) {
    const int n = std::min(kLanes, end - k);
    for (int row = 0; row < t.rows; row += kLanes) {
      const float* in = t.in + (k - begin) * t.in_stride + row;
      Vec r[kLanes];
      if (n == kLanes) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) r[i] = Load(in + i * t.in_stride);
      } else {
        for (int i = 0; i < kLanes; ++i) {
          r[i] = i < n ? Load(in + i * t.in_stride) : Vec{};
        }
      }
      Transpose(r);
      float* out = t.out + row * t.out_stride + k;
      if (n == kLanes && row + kLanes <= t.rows) {
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i)
          StoreLoose(out + i * t.out_stride, r[i]);
      } else {
        for (int i = 0; i < kLanes && row + i < t.rows; ++i) {
          StoreUpTo(out + i * t.out_stride, r[i], n);
        }
      }
    }
  }
}

// y[:, j] = act(sum over kept (k, j) of value * x[:, k] + bias[j]) for outputs
// [begin, end) and the rows k of one panel. One output's T sums stay in NV
// registers (two sets where they are few, to hide the latency of the FMA).
// Between panels they are kept in y_tile; in the end, kLanes outputs are
// transposed back.
template <int NV, class Index>
static TF_PAI_INLINE void DenseForwardOutput(const DenseForwardTile& t, int j,
                                             float* sums) {
  constexpr int T = NV * kLanes;
  constexpr bool kTwoSets = NV <= 4;
  const Index* row_idx = static_cast<const Index*>(t.row_idx.data);
  Vec a[NV], b[NV];
#pragma GCC unroll 8
  for (int i = 0; i < NV; ++i) {
    a[i] = t.first_panel ? Vec{} + (t.bias != nullptr ? t.bias[j] : 0.f)
                         : Load(sums + i * kLanes);
    b[i] = Vec{};
  }
  int p = t.col_ptr[j];
  const int stop = t.col_ptr[j + 1];
  for (; kTwoSets && p + 1 < stop; p += 2) {
    const float v = t.values[p], w = t.values[p + 1];
    const float* x = t.x + int64_t{row_idx[p]} * T;
    const float* z = t.x + int64_t{row_idx[p + 1]} * T;
#pragma GCC unroll 8
    for (int i = 0; i < NV; ++i) {
      a[i] += v * Load(x + i * kLanes);
      b[i] += w * Load(z + i * kLanes);
    }
  }
  for (; p < stop; ++p) {
    const float v = t.values[p];
    const float* x = t.x + int64_t{row_idx[p]} * T;
#pragma GCC unroll 8
    for (int i = 0; i < NV; ++i) a[i] += v * Load(x + i * kLanes);
  }
#pragma GCC unroll 8
  for (int i = 0; i < NV; ++i) {
    const Vec y = a[i] + b[i];
    Store(sums + i * kLanes, t.relu && t.last_panel ? Relu(y) : y);
  }
}

template <int NV, class Index>
static void DenseForwardLoop(const DenseForwardTile& t, int begin, int end) {
  constexpr int T = NV * kLanes;
  alignas(64) float buffer[kLanes * T];
  for (int j = begin; j < end; j += kLanes) {
    const int n = std::min(kLanes, end - j);
    float* sums = t.y_tile != nullptr ? t.y_tile + int64_t{j} * T : buffer;
    if (t.last_panel) PrefetchOut(t.y + j, t.y_stride, t.rows);
    for (int q = 0; q < n; ++q) {
      DenseForwardOutput<NV, Index>(t, j + q, sums + q * T);
    }
    if (t.last_panel) {
      TransposeOut({sums, T, t.rows, T, t.y, t.y_stride}, j, j + n);
    }
  }
}

template <class Index>
static void DenseForwardOf(const DenseForwardTile& t, int begin, int end) {
  switch (t.vectors) {
    case 1:
      return DenseForwardLoop<1, Index>(t, begin, end);
    case 2:
      return DenseForwardLoop<2, Index>(t, begin, end);
    case 4:
      return DenseForwardLoop<4, Index>(t, begin, end);
    default:
      return DenseForwardLoop<8, Index>(t, begin, end);
  }
}

static void DenseForward(const DenseForwardTile& t, int begin, int end) {
  if (t.row_idx.wide) {
    DenseForwardOf<int32_t>(t, begin, end);
  } else {
    DenseForwardOf<uint16_t>(t, begin, end);
  }
}

// For input rows [begin, end), in one sweep over their kept weights (k, j):
//   dx[:, k] += value * dy[:, j]     and     dvalue = <x[:, k], dy[:, j]>.
// Each row of dY is loaded once and used twice. The products of kLanes weights
// are summed over the lanes by one tree.
template <int NV, class Index, bool kNeedDx>
struct DenseBackwardSweep {
  static constexpr int T = NV * kLanes;
  const DenseBackwardTile& t;
  const Index* col_idx;
  Vec x[NV], dx[NV];
  Vec products[kLanes];
  int held;  // products that are not yet summed

  // One weight: adds to dx, returns the lane-wise products for dvalue.
  TF_PAI_INLINE Vec Weight(int p) {
    const float* dy = t.dy + int64_t{col_idx[p]} * T;
    Vec sum[2] = {};
#pragma GCC unroll 8
    for (int i = 0; i < NV; ++i) {
      Vec g = Load(dy + i * kLanes);
      TF_PAI_KEEP_IN_REGISTER(g);
      if constexpr (kNeedDx) dx[i] += t.values[p] * g;
      sum[i & 1] += x[i] * g;
    }
    return sum[0] + sum[1];
  }

  // Sums the products held, of the weights before p.
  TF_PAI_INLINE void Flush(int p) {
    Vec r[kLanes];
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) r[i] = products[i];
    Vec sums = SumEach(r);
    float* out = t.dvalues + p - held;
    if (t.accumulate) sums += LoadUpTo(out, held);
    StoreUpTo(out, sums, held);
    held = 0;
  }

  TF_PAI_INLINE void Row(int begin, int end) {
    for (int p = begin; p < end; ++p) {
      products[held++] = Weight(p);
      if (held == kLanes) Flush(p + 1);
    }
  }
};

template <int NV, class Index, bool kNeedDx>
static void DenseBackwardLoop(const DenseBackwardTile& t, int begin, int end) {
  constexpr int T = NV * kLanes;
  alignas(64) float buffer[kNeedDx ? kLanes * T : 1];
  DenseBackwardSweep<NV, Index, kNeedDx> sweep = {
      t, static_cast<const Index*>(t.col_idx.data), {}, {}, {}, 0};
  for (int k = begin; k < end; k += kLanes) {
    const int n = std::min(kLanes, end - k);
    if (kNeedDx) PrefetchOut(t.dx + k, t.dx_stride, t.rows);
    for (int q = 0; q < n; ++q) {
#pragma GCC unroll 8
      for (int i = 0; i < NV; ++i) {
        sweep.x[i] = Load(t.x + int64_t{k + q} * T + i * kLanes);
        sweep.dx[i] = Vec{};
      }
      sweep.Row(t.row_ptr[k + q], t.row_ptr[k + q + 1]);
      if constexpr (kNeedDx) {
#pragma GCC unroll 8
        for (int i = 0; i < NV; ++i) {
          Store(buffer + q * T + i * kLanes, sweep.dx[i]);
        }
      }
    }
    if (kNeedDx) {
      TransposeOut({buffer, T, t.rows, T, t.dx, t.dx_stride}, k, k + n);
    }
  }
  sweep.Flush(t.row_ptr[end]);
}

template <class Index, bool kNeedDx>
static void DenseBackwardOf(const DenseBackwardTile& t, int begin, int end) {
  switch (t.vectors) {
    case 1:
      return DenseBackwardLoop<1, Index, kNeedDx>(t, begin, end);
    case 2:
      return DenseBackwardLoop<2, Index, kNeedDx>(t, begin, end);
    case 4:
      return DenseBackwardLoop<4, Index, kNeedDx>(t, begin, end);
    default:
      return DenseBackwardLoop<8, Index, kNeedDx>(t, begin, end);
  }
}

static void DenseBackward(const DenseBackwardTile& t, int begin, int end) {
  if (t.col_idx.wide) {
    t.dx != nullptr ? DenseBackwardOf<int32_t, true>(t, begin, end)
                    : DenseBackwardOf<int32_t, false>(t, begin, end);
  } else {
    t.dx != nullptr ? DenseBackwardOf<uint16_t, true>(t, begin, end)
                    : DenseBackwardOf<uint16_t, false>(t, begin, end);
  }
}

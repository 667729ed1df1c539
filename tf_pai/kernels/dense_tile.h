// Tile kernels of a sparse Dense layer; see kernels.h for what a tile is.
// Included by tiles.cc once per instruction set, after transpose_tile.h.

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
  alignas(64) float x[kLanes * T], dx[kNeedDx ? kLanes * T : 1];
  DenseBackwardSweep<NV, Index, kNeedDx> sweep = {
      t, static_cast<const Index*>(t.col_idx.data), {}, {}, {}, 0};
  for (int k = begin; k < end; k += kLanes) {
    const int n = std::min(kLanes, end - k);
    TransposeInto<true>({t.x + k, t.x_stride, t.rows, T, x, T}, nullptr,
                        nullptr, 0, n);
    if constexpr (kNeedDx) PrefetchOut(t.dx + k, t.dx_stride, t.rows);
    for (int q = 0; q < n; ++q) {
#pragma GCC unroll 8
      for (int i = 0; i < NV; ++i) {
        sweep.x[i] = Load(x + q * T + i * kLanes);
        sweep.dx[i] = Vec{};
      }
      sweep.Row(t.row_ptr[k + q], t.row_ptr[k + q + 1]);
      if constexpr (kNeedDx) {
#pragma GCC unroll 8
        for (int i = 0; i < NV; ++i) {
          Store(dx + q * T + i * kLanes, sweep.dx[i]);
        }
      }
    }
    if constexpr (kNeedDx) {
      TransposeOut({dx, T, t.rows, T, t.dx, t.dx_stride}, k, k + n);
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

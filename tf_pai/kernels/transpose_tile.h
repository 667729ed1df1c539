// Moves features between row-major matrices and tiles; see kernels.h for what a
// tile is. Included by tiles.cc once per instruction set, after vector.h.

// Loads kLanes rows of features [k, k + n).
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

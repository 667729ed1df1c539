// Vectors of TF_PAI_LANES floats, written with the vector extensions of GCC and
// Clang, so that one source serves AVX-512 (16 lanes), AVX2 (8) and every
// 128-bit instruction set, NEON and SSE2 among them (4).
//
// No include guard: tiles.cc includes this file once per instruction set,
// inside that set's namespace and under its target attribute.

constexpr int kLanes = TF_PAI_LANES;

typedef float Vec __attribute__((vector_size(4 * TF_PAI_LANES), may_alias));
typedef float LooseVec
    __attribute__((vector_size(4 * TF_PAI_LANES), aligned(4), may_alias));
typedef int32_t IntVec __attribute__((vector_size(4 * TF_PAI_LANES)));

#define TF_PAI_INLINE __attribute__((always_inline)) inline

// Aligned access: scratch tiles. Unaligned access: the caller's tensors.
static TF_PAI_INLINE Vec Load(const float* p) {
  return *reinterpret_cast<const Vec*>(p);
}
static TF_PAI_INLINE void Store(float* p, Vec v) {
  *reinterpret_cast<Vec*>(p) = v;
}
static TF_PAI_INLINE Vec LoadLoose(const float* p) {
  return (Vec) * reinterpret_cast<const LooseVec*>(p);
}
static TF_PAI_INLINE void StoreLoose(float* p, Vec v) {
  *reinterpret_cast<LooseVec*>(p) = (LooseVec)v;
}

// Keeps a value that is used twice in a register: GCC would load it twice, as a
// memory operand of two FMAs, and the loads are what limits the kernels.
#ifdef __x86_64__
#define TF_PAI_KEEP_IN_REGISTER(v) asm("" : "+x"(v))
#else
#define TF_PAI_KEEP_IN_REGISTER(v)
#endif

// The first n lanes only; the others are zero (load) or untouched (store).
static TF_PAI_INLINE Vec LoadSome(const float* p, int n) {
  alignas(4 * TF_PAI_LANES) float lane[kLanes] = {0};
  for (int i = 0; i < n; ++i) lane[i] = p[i];
  return Load(lane);
}
static TF_PAI_INLINE void StoreSome(float* p, Vec v, int n) {
  alignas(4 * TF_PAI_LANES) float lane[kLanes];
  Store(lane, v);
  for (int i = 0; i < n; ++i) p[i] = lane[i];
}
static TF_PAI_INLINE Vec LoadUpTo(const float* p, int n) {
  return n == kLanes ? LoadLoose(p) : LoadSome(p, n);
}
static TF_PAI_INLINE void StoreUpTo(float* p, Vec v, int n) {
  if (n == kLanes) {
    StoreLoose(p, v);
  } else {
    StoreSome(p, v, n);
  }
}

// NaN stays NaN: training that diverges has to be seen.
static TF_PAI_INLINE Vec Relu(Vec v) { return v < 0 ? Vec{} : v; }
static TF_PAI_INLINE Vec WherePositive(Vec condition, Vec v) {
  return condition > 0 ? v : Vec{};
}

// A shuffle of two vectors by indices known when compiling.
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define TF_PAI_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#endif
#endif
#ifndef TF_PAI_SHUFFLE  // GCC before 12
#define TF_PAI_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, IntVec{__VA_ARGS__})
#endif

using LaneIndices = std::make_integer_sequence<int, TF_PAI_LANES>;

// Lanes whose bit S is clear come from a, the others from b moved down by S...
template <int S, int... I>
static TF_PAI_INLINE Vec MergeLow(Vec a, Vec b,
                                  std::integer_sequence<int, I...>) {
  return TF_PAI_SHUFFLE(a, b, ((I & S) == 0 ? I : kLanes + I - S)...);
}
// ... and its mirror image: a moved up by S, then b.
template <int S, int... I>
static TF_PAI_INLINE Vec MergeHigh(Vec a, Vec b,
                                   std::integer_sequence<int, I...>) {
  return TF_PAI_SHUFFLE(a, b, ((I & S) == 0 ? I + S : kLanes + I)...);
}

// Transposes a kLanes x kLanes block in registers by log2(kLanes) butterflies.
template <int S = 1>
static TF_PAI_INLINE void Transpose(Vec* r) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if (i & S) continue;
    const Vec low = MergeLow<S>(r[i], r[i + S], LaneIndices());
    const Vec high = MergeHigh<S>(r[i], r[i + S], LaneIndices());
    r[i] = low;
    r[i + S] = high;
  }
  if constexpr (2 * S < kLanes) Transpose<2 * S>(r);
}

// Sums kLanes vectors by one tree: lane i of the result is the sum of r[i].
template <int S = 1>
static TF_PAI_INLINE Vec SumEach(Vec* r) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes / (2 * S); ++i) {
    const Vec a = r[2 * i], b = r[2 * i + 1];
    r[i] = MergeLow<S>(a, b, LaneIndices()) + MergeHigh<S>(a, b, LaneIndices());
  }
  if constexpr (2 * S < kLanes) {
    return SumEach<2 * S>(r);
  } else {
    return r[0];
  }
}

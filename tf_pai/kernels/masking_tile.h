// Weights and their mask in bits. Included by tiles.cc once per instruction
// set, after vector.h.

template <int... I>
static TF_PAI_INLINE IntVec LaneBits(std::integer_sequence<int, I...>) {
  return IntVec{(1 << I)...};
}

static void ZeroPruned(const uint32_t* kept, int64_t n, float* weights) {
  const IntVec lane_bits = LaneBits(LaneIndices());
  int64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const uint32_t word = kept[i / 32];
#pragma GCC unroll 8
    for (int k = 0; k < 32; k += kLanes) {
      const IntVec bits = lane_bits & static_cast<int32_t>(word >> k);
      const IntVec weight = (IntVec)LoadLoose(weights + i + k);
      StoreLoose(weights + i + k, (Vec)(weight & (bits != 0)));
    }
  }
  for (; i < n; ++i) {
    if ((kept[i / 32] >> i % 32 & 1) == 0) weights[i] = 0;
  }
}

// Where scores lie beside a range in which a threshold is looked for. Included
// by tiles.cc once per instruction set, after vector.h.

constexpr int kMarkedAtOnce = 128;

// Writes the mask of `count` scores and, one byte each, which are in the range;
// returns how many are above it. Simple loops, for the compiler to vectorize.
template <bool kMagnitude, class Mask>
static TF_PAI_INLINE int64_t MarkBlock(const Marking& m, int64_t begin,
                                       int count, uint8_t* __restrict is_near) {
  constexpr bool kAmong = sizeof(Mask) == 1;
  const float* __restrict scores = m.scores + begin;
  Mask* __restrict mask = static_cast<Mask*>(m.mask) + begin;
  const int32_t low = m.low, high = m.high;
  int32_t keys[kMarkedAtOnce];
  for (int k = 0; k < count; ++k) keys[k] = KeyOf<kMagnitude>(scores[k]);
  if (kAmong) {
    const uint8_t* __restrict among = m.among + begin;
    for (int k = 0; k < count; ++k) {
      keys[k] = among[k] != 0 ? keys[k] : kNoKey;
    }
  }
  for (int k = 0; k < count; ++k) mask[k] = static_cast<Mask>(keys[k] > high);
  for (int k = 0; k < count; ++k) {
    is_near[k] = (keys[k] > low) & (keys[k] <= high);
  }
  int32_t above = 0;
  for (int k = 0; k < count; ++k) above += keys[k] > high;
  return above;
}

// Writes the mask of the scores above `high`, and where those in (low, high]
// are: at most near_limit of them.
template <bool kMagnitude, class Mask>
static Marked MarkAboveOf(const Marking& m) {
  Marked marked{0, 0};
  for (int64_t i = 0; i < m.n; i += kMarkedAtOnce) {
    alignas(64) uint8_t is_near[kMarkedAtOnce] = {};
    const int count =
        static_cast<int>(std::min<int64_t>(kMarkedAtOnce, m.n - i));
    marked.above +=
        count == kMarkedAtOnce
            ? MarkBlock<kMagnitude, Mask>(m, i, kMarkedAtOnce, is_near)
            : MarkBlock<kMagnitude, Mask>(m, i, count, is_near);
    // 8 bytes, each 0 or 1, at once.
    for (int k = 0; k < kMarkedAtOnce; k += 8) {
      uint64_t left;
      std::memcpy(&left, is_near + k, sizeof left);
      for (; left != 0; left &= left - 1, ++marked.near) {
        if (marked.near >= m.near_limit) continue;
        m.near[marked.near] = i + k + __builtin_ctzll(left) / 8;
      }
    }
  }
  return marked;
}

static Marked MarkAbove(const Marking& m) {
  if (m.among != nullptr) return MarkAboveOf<false, uint8_t>(m);
  return m.magnitude ? MarkAboveOf<true, float>(m)
                     : MarkAboveOf<false, float>(m);
}

// Where scores lie beside a range in which a threshold is looked for. Included
// by tiles.cc once per instruction set, after vector.h.

constexpr int kMarkedAtOnce = 128;

// Writes the mask of scores [begin, end) above `high`, and where the scores in
// (low, high] are: at most near_limit of them.
template <bool kMagnitude>
static Marked MarkAboveOf(const Marking& m) {
  Marked marked{0, 0};
  for (int64_t i = m.begin; i < m.end; i += kMarkedAtOnce) {
    const int count =
        static_cast<int>(std::min<int64_t>(kMarkedAtOnce, m.end - i));
    const float* __restrict scores = m.scores + i;
    float* __restrict mask = m.mask + i;
    int above = 0, from_low = 0;
    for (int k = 0; k < count; ++k) {
      const int32_t key = KeyOf<kMagnitude>(scores[k]);
      const int kept = key > m.high;
      mask[k] = static_cast<float>(kept);
      above += kept;
      from_low += key > m.low;
    }
    marked.above += above;
    if (from_low == above) continue;
    for (int k = 0; k < count; ++k) {
      const int32_t key = KeyOf<kMagnitude>(scores[k]);
      if (key <= m.low || key > m.high) continue;
      if (marked.near < m.near_limit) m.near[marked.near] = i + k;
      ++marked.near;
    }
  }
  return marked;
}

static Marked MarkAbove(const Marking& m) {
  return m.magnitude ? MarkAboveOf<true>(m) : MarkAboveOf<false>(m);
}

// What is done with a structure's arrays before they are used. Included by
// tiles.cc once per instruction set, after vector.h.

// Whether indices [begin, end) are all in [0, limit).
template <class Index>
static bool AllBelowOf(const Index* index, int64_t n, int64_t limit) {
  int64_t bad = 0;
  for (int64_t i = 0; i < n; i += 4096) {  // short runs: 32-bit counters
    int run = 0;
    const int count = static_cast<int>(std::min<int64_t>(4096, n - i));
    for (int k = 0; k < count; ++k) {
      run +=
          static_cast<uint32_t>(index[i + k]) >= static_cast<uint32_t>(limit);
    }
    bad += run;
  }
  return bad == 0;
}

static bool AllBelow(const Indices& indices, int64_t begin, int64_t end,
                     int64_t limit) {
  return indices.wide
             ? AllBelowOf(static_cast<const int32_t*>(indices.data) + begin,
                          end - begin, limit)
             : AllBelowOf(static_cast<const uint16_t*>(indices.data) + begin,
                          end - begin, limit);
}

// out[i] = values[perm[i]] for i in [begin, end). Returns whether perm is in
// [0, n) there; where it is not, the last value stands in.
static bool Gather(const float* values, const int32_t* perm, int64_t n,
                   int64_t begin, int64_t end, float* __restrict out) {
  const uint32_t last = static_cast<uint32_t>(n - 1);
  uint32_t moved = 0;
  for (int64_t i = begin; i < end; ++i) {
    const uint32_t wanted = static_cast<uint32_t>(perm[i]);
    const uint32_t from = std::min(wanted, last);
    moved |= wanted ^ from;
    out[i] = values[from];
  }
  return moved == 0;
}

// How the drivers of the sparse Dense layer cut the batch, and its tiles.

#ifndef TF_PAI_KERNELS_DENSE_COMMON_H_
#define TF_PAI_KERNELS_DENSE_COMMON_H_

#include <algorithm>
#include <cstdint>

#include "runtime.h"

namespace tf_pai {

// Measured on a 32 KB L1, 1 MB L2 core; flat around its optimum.
inline constexpr int64_t kTileBytes = 512 << 10;  // of X in the forward pass
// Below, waking a thread costs more than it gains: measured in the training
// step of a small network, since a loop over one product keeps threads awake.
inline constexpr double kSerialFlops = 4e6;

// How the batch is cut into tiles of T = vectors * lanes rows.
struct Tiles {
  int64_t batch;
  int lanes;
  int vectors;

  int size() const { return vectors * lanes; }
  int64_t count() const { return (batch + size() - 1) / size(); }
  int64_t begin(int64_t tile) const { return tile * size(); }
  int rows(int64_t tile) const {
    return static_cast<int>(std::min<int64_t>(size(), batch - begin(tile)));
  }
  // The last tile is as narrow as its rows allow.
  int vectors_of(int64_t tile) const {
    int narrow = vectors;
    while (narrow > 1 && narrow / 2 * lanes >= rows(tile)) narrow /= 2;
    return narrow;
  }
};

// The widest tiles that keep every thread busy and one operand in the cache;
// but at least two vectors, or the index would be read for each single FMA.
inline Tiles CutBatch(int64_t batch, int lanes, int max_vectors, int threads,
                      int64_t bytes_per_row) {
  Tiles tiles = {batch, lanes, max_vectors};
  const auto too_wide = [&] {
    return tiles.count() < threads ||
           (bytes_per_row > 0 && bytes_per_row * tiles.size() > kTileBytes);
  };
  while (tiles.vectors > 2 && too_wide()) tiles.vectors /= 2;
  while (tiles.vectors > 1 && tiles.size() / 2 >= batch) tiles.vectors /= 2;
  return tiles;
}

inline int ThreadsFor(double flops, const Runtime& runtime) {
  return flops < kSerialFlops ? 1 : std::max(1, runtime.threads());
}

// Each thread transposes and multiplies its own tiles, where there are many;
// else the threads share their chunks.
inline bool ByTiles(const Tiles& tiles, int threads) {
  return tiles.count() > threads;
}

// Rows or columns in chunks, each of whole vectors; at least one chunk.
struct Chunks {
  int64_t length, step;

  int64_t count() const {
    return std::max<int64_t>(1, (length + step - 1) / step);
  }
  int64_t begin(int64_t i) const { return i * step; }
  int64_t end(int64_t i) const { return std::min(length, (i + 1) * step); }
};

// How many chunks of each of so many parts: several for each thread, which may
// come late or be slower than others.
inline int64_t ChunksOf(int64_t parts, int threads) {
  return threads == 1 ? 1 : (4 * threads + parts - 1) / parts;
}

inline Chunks CutTile(int64_t length, const Tiles& tiles, int64_t wanted) {
  const int64_t step = std::max<int64_t>(1, (length + wanted - 1) / wanted);
  return {length, RoundUp(step, tiles.lanes)};
}

inline constexpr char kNoMemory[] = "no memory for the scratch tiles";

}  // namespace tf_pai

#endif  // TF_PAI_KERNELS_DENSE_COMMON_H_

#include <algorithm>
#include <vector>

#include "dense.h"
#include "dense_common.h"
#include "structure.h"

namespace tf_pai {

namespace {

struct Backward {
  const DenseBackwardCall& call;
  const Kernels& kernels;
  Tiles tiles;

  int64_t tile_floats() const { return call.outputs * tiles.size(); }

  void Pack(int64_t tile, float* dy, float* dbias, int begin, int end) const {
    const int size = tiles.vectors_of(tile) * tiles.lanes;
    const int64_t at = tiles.begin(tile) * call.outputs;
    kernels.transpose_in(
        {call.dy + at, call.outputs, tiles.rows(tile), size, dy, size},
        call.relu_output ? call.relu_output + at : nullptr, dbias, begin, end);
  }

  void Sweep(int64_t tile, const float* dy, float* dvalues, bool accumulate,
             int begin, int end) const {
    const int64_t at = tiles.begin(tile) * call.inputs;
    kernels.dense_backward(
        {call.x + at, call.inputs, dy, tiles.vectors_of(tile), call.row_ptr,
         call.col_idx, call.values, dvalues, accumulate,
         call.dx ? call.dx + at : nullptr, call.inputs, tiles.rows(tile)},
        begin, end);
  }
};

// to[i] += the same element of each of `parts` arrays, in their order.
void AddParts(const float* parts, int64_t count, int64_t stride, int64_t begin,
              int64_t end, float* to) {
  for (int64_t part = 0; part < count; ++part) {
    const float* from = parts + part * stride;
    for (int64_t i = begin; i < end; ++i) to[i] += from[i];
  }
}

// Where each tile, or each thread's tiles, has its sums: the first in the
// outputs, the others behind one another in scratch memory, to be added in the
// end, always in the same order.
struct Sums {
  const DenseBackwardCall& call;
  int64_t parts;
  float* partial;

  // The first tile of a part.
  int64_t tile(int64_t part, int64_t tiles) const {
    return PartBegin(tiles, part, parts);
  }
  int64_t bias_size() const { return call.dbias != nullptr ? call.outputs : 0; }
  int64_t size() const { return RoundUp(call.nnz + bias_size(), 16); }
  bool Allocate(Runtime* runtime) {
    partial = runtime->Scratch((parts - 1) * size());
    return partial != nullptr;
  }
  float* values(int64_t part) const {
    return part == 0 ? call.dvalues : partial + (part - 1) * size();
  }
  float* bias(int64_t part) const {
    return part == 0 || bias_size() == 0 ? call.dbias : values(part) + call.nnz;
  }

  // Adds the others to the first: the i-th of n parts of each.
  void Add(int64_t i, int64_t n) const {
    AddParts(partial, parts - 1, size(), PartBegin(call.nnz, i, n),
             PartBegin(call.nnz, i + 1, n), call.dvalues);
    AddParts(partial + call.nnz, parts - 1, size(),
             PartBegin(bias_size(), i, n), PartBegin(bias_size(), i + 1, n),
             call.dbias);
  }
};

// Each thread sweeps its own tiles.
std::string BackwardByTiles(const Backward& b, Preparation* preparation,
                            int threads, Runtime* runtime) {
  const DenseBackwardCall& call = b.call;
  const int64_t parts = std::min<int64_t>(b.tiles.count(), threads);
  float* tiles = runtime->Scratch(parts * b.tile_floats());
  Sums sums = {call, parts, nullptr};
  if (tiles == nullptr || !sums.Allocate(runtime)) return kNoMemory;
  const auto prepare = [&](int64_t i) { preparation->Part(i, threads); };
  const auto sweep = [&](int64_t part) {
    if (!preparation->good()) return;
    float* dy = tiles + part * b.tile_floats();
    std::fill_n(sums.bias(part), sums.bias_size(), 0.f);
    const int64_t begin = sums.tile(part, b.tiles.count());
    const int64_t end = sums.tile(part + 1, b.tiles.count());
    for (int64_t t = begin; t < end; ++t) {
      b.Pack(t, dy, sums.bias(part), 0, call.outputs);
      b.Sweep(t, dy, sums.values(part), t > begin, 0, call.inputs);
    }
  };
  const auto add = [&](int64_t i) {
    if (preparation->good()) sums.Add(i, threads);
  };
  runtime->Run({{threads, prepare}, {parts, sweep}, {threads, add}});
  return preparation->problem();
}

// Rows in chunks of about equal work, each of a multiple of `step` rows: the
// first row of every chunk, and the end. A layer's inputs may differ much.
std::vector<int> RowChunks(const int32_t* row_ptr, int64_t rows, int64_t step,
                           int64_t wanted) {
  const auto work = [&](int64_t row) { return row_ptr[row] + 4 * row; };
  std::vector<int> first = {0};
  int64_t row = 0;
  for (int64_t chunk = 1; chunk < wanted; ++chunk) {
    while (row < rows && work(row) < work(rows) * chunk / wanted) {
      row = std::min(row + step, rows);
    }
    if (row > first.back() && row < rows) first.push_back(row);
  }
  first.push_back(rows);
  return first;
}

// Threads share the tiles: chunks of outputs first, then chunks of inputs. Each
// tile has its own sums where there is one for each thread; fewer tiles have
// the same, and are swept one after the other.
std::string BackwardByChunks(const Backward& b, Preparation* preparation,
                             int threads, Runtime* runtime) {
  const DenseBackwardCall& call = b.call;
  const int64_t tiles = b.tiles.count();
  const int64_t parts = tiles < threads ? 1 : tiles;
  float* scratch = runtime->Scratch(tiles * b.tile_floats());
  Sums sums = {call, parts, nullptr};
  if (scratch == nullptr || !sums.Allocate(runtime)) return kNoMemory;
  const int64_t wanted = ChunksOf(parts, threads);
  const Chunks out = CutTile(call.outputs, b.tiles, wanted);
  const std::vector<int> in =
      RowChunks(call.row_ptr, call.inputs, b.tiles.lanes, wanted);
  const int64_t in_count = in.size() - 1;
  const auto pack = [&](int64_t i) {
    const int64_t part = i / out.count(), chunk = i % out.count();
    const int64_t begin = out.begin(chunk), end = out.end(chunk);
    float* bias = sums.bias(part);
    preparation->Part(i, parts * out.count());
    if (bias != nullptr && begin < end) {
      std::fill(bias + begin, bias + end, 0.f);
    }
    for (int64_t t = sums.tile(part, tiles); t < sums.tile(part + 1, tiles);
         ++t) {
      b.Pack(t, scratch + t * b.tile_floats(), bias, begin, end);
    }
  };
  const auto sweep = [&](int64_t i) {
    if (!preparation->good()) return;
    const int64_t part = i / in_count, chunk = i % in_count;
    const int64_t first = sums.tile(part, tiles);
    for (int64_t t = first; t < sums.tile(part + 1, tiles); ++t) {
      b.Sweep(t, scratch + t * b.tile_floats(), sums.values(part), t > first,
              in[chunk], in[chunk + 1]);
    }
  };
  const auto add = [&](int64_t i) {
    if (preparation->good()) sums.Add(i, threads);
  };
  runtime->Run({{parts * out.count(), pack},
                {parts * in_count, sweep},
                {parts > 1 ? threads : 0, add}});
  return preparation->problem();
}

}  // namespace

std::string RunDenseBackward(const DenseBackwardCall& call, Runtime* runtime) {
  const Kernels& kernels = KernelsFor(call.batch);
  const Compressed csr = {call.row_ptr, call.inputs, call.col_idx, call.outputs,
                          call.nnz};
  if (call.batch == 0) {
    std::fill(call.dvalues, call.dvalues + call.nnz, 0.f);
    if (call.dbias) std::fill(call.dbias, call.dbias + call.outputs, 0.f);
    return Prepare(csr, nullptr, kernels, 1, runtime);
  }
  Preparation preparation(csr, nullptr, kernels);
  if (!preparation.good()) return preparation.problem();
  const int threads = ThreadsFor(4.0 * call.nnz * call.batch, *runtime);
  // 16 lanes come with 32 registers, which hold 8 vectors of x and of dx.
  const int max_vectors = kernels.lanes == 16 ? 8 : 4;
  const Tiles tiles =
      CutBatch(call.batch, kernels.lanes, max_vectors, threads, 0);
  const Backward backward = {call, kernels, tiles};
  return ByTiles(tiles, threads)
             ? BackwardByTiles(backward, &preparation, threads, runtime)
             : BackwardByChunks(backward, &preparation, threads, runtime);
}

}  // namespace tf_pai

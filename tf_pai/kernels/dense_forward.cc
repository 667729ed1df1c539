#include <algorithm>

#include "dense.h"
#include "dense_common.h"
#include "structure.h"

namespace tf_pai {

namespace {

struct Forward {
  const DenseForwardCall& call;
  const Kernels& kernels;
  Tiles tiles;
  const float* values;  // in the order of row_idx

  // A tile of x and, where there are more panels, behind it one of y.
  int64_t tile_floats() const {
    const int64_t outputs = call.panels > 1 ? call.outputs : 0;
    return (call.inputs + outputs) * tiles.size();
  }

  void Pack(int64_t tile, float* x, int begin, int end) const {
    const int size = tiles.vectors_of(tile) * tiles.lanes;
    kernels.transpose_in({call.x + tiles.begin(tile) * call.inputs, call.inputs,
                          tiles.rows(tile), size, x, size},
                         nullptr, nullptr, begin, end);
  }

  void Multiply(int64_t tile, float* x, int begin, int end) const {
    float* y_tile = call.panels > 1 ? x + call.inputs * tiles.size() : nullptr;
    float* y = call.y + tiles.begin(tile) * call.outputs;
    for (int64_t panel = 0; panel < call.panels; ++panel) {
      kernels.dense_forward(
          {x, tiles.vectors_of(tile), panel == 0, panel + 1 == call.panels,
           call.col_ptr + panel * call.outputs, call.row_idx, values, call.bias,
           call.relu, y_tile, y, call.outputs, tiles.rows(tile)},
          begin, end);
    }
  }
};

// Enough tiles for all threads: each transposes and multiplies its own.
void ForwardByTiles(const Forward& f, int threads, float* scratch,
                    Runtime* runtime) {
  const int64_t parts = std::min<int64_t>(f.tiles.count(), threads);
  runtime->For(parts, [&](int64_t part) {
    float* x = scratch + part * f.tile_floats();
    const int64_t end = PartBegin(f.tiles.count(), part + 1, parts);
    for (int64_t t = PartBegin(f.tiles.count(), part, parts); t < end; ++t) {
      f.Pack(t, x, 0, f.call.inputs);
      f.Multiply(t, x, 0, f.call.outputs);
    }
  });
}

// More threads than tiles: all threads transpose, then each has some outputs.
void ForwardByOutputs(const Forward& f, int threads, float* scratch,
                      Runtime* runtime) {
  const int64_t tiles = f.tiles.count();
  const int64_t step = RoundUp(f.call.inputs / threads + 1, f.tiles.lanes);
  const int64_t blocks = (f.call.inputs + step - 1) / step;
  runtime->For(tiles * blocks, [&](int64_t i) {
    const int64_t begin = i % blocks * step;
    f.Pack(i / blocks, scratch + i / blocks * f.tile_floats(), begin,
           std::min(begin + step, f.call.inputs));
  });
  const int64_t chunk = RoundUp(f.call.outputs / threads + 1, f.tiles.lanes);
  const int64_t chunks = (f.call.outputs + chunk - 1) / chunk;
  runtime->For(tiles * chunks, [&](int64_t i) {
    const int64_t begin = i % chunks * chunk;
    f.Multiply(i / chunks, scratch + i / chunks * f.tile_floats(), begin,
               std::min(begin + chunk, f.call.outputs));
  });
}

}  // namespace

std::string RunDenseForward(const DenseForwardCall& call, Runtime* runtime) {
  const Kernels& kernels = KernelsFor(call.batch);
  const Compressed csc = {call.col_ptr, call.panels * call.outputs,
                          call.row_idx, call.inputs, call.nnz};
  std::string problem = Problem(csc, kernels, runtime);
  if (!problem.empty()) return problem;
  float* values = runtime->Scratch(call.nnz);
  if (values == nullptr) return kNoMemory;
  problem = Gather(call.values, call.perm, call.nnz, runtime, values);
  if (!problem.empty() || call.batch == 0 || call.outputs == 0) return problem;

  const int threads = ThreadsFor(2.0 * call.nnz * call.batch, *runtime);
  const int64_t panel_rows = (call.inputs + call.panels - 1) / call.panels;
  const Tiles tiles = CutBatch(call.batch, kernels.lanes, 8, threads,
                               panel_rows * sizeof(float));
  const bool by_tiles = tiles.count() >= threads;
  const int64_t held =
      by_tiles ? std::min<int64_t>(tiles.count(), threads) : tiles.count();
  const Forward forward = {call, kernels, tiles, values};
  float* scratch = runtime->Scratch(held * forward.tile_floats());
  if (scratch == nullptr) return kNoMemory;
  if (by_tiles) {
    ForwardByTiles(forward, threads, scratch, runtime);
  } else {
    ForwardByOutputs(forward, threads, scratch, runtime);
  }
  return "";
}

}  // namespace tf_pai

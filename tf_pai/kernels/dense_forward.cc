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

// Each thread transposes and multiplies its own tiles.
std::string ForwardByTiles(const Forward& f, Preparation* preparation,
                           int threads, Runtime* runtime) {
  const int64_t parts = std::min<int64_t>(f.tiles.count(), threads);
  float* scratch = runtime->Scratch(parts * f.tile_floats());
  if (scratch == nullptr) return kNoMemory;
  const auto prepare = [&](int64_t i) { preparation->Part(i, threads); };
  const auto multiply = [&](int64_t part) {
    if (!preparation->good()) return;
    float* x = scratch + part * f.tile_floats();
    const int64_t end = PartBegin(f.tiles.count(), part + 1, parts);
    for (int64_t t = PartBegin(f.tiles.count(), part, parts); t < end; ++t) {
      f.Pack(t, x, 0, f.call.inputs);
      f.Multiply(t, x, 0, f.call.outputs);
    }
  };
  runtime->Run({{threads, prepare}, {parts, multiply}});
  return preparation->problem();
}

// Threads share the tiles: chunks of inputs first, then chunks of outputs.
std::string ForwardByChunks(const Forward& f, Preparation* preparation,
                            int threads, Runtime* runtime) {
  const int64_t tiles = f.tiles.count();
  float* scratch = runtime->Scratch(tiles * f.tile_floats());
  if (scratch == nullptr) return kNoMemory;
  const int64_t wanted = ChunksOf(tiles, threads);
  const Chunks in = CutTile(f.call.inputs, f.tiles, wanted);
  const Chunks out = CutTile(f.call.outputs, f.tiles, wanted);
  const auto pack = [&](int64_t i) {
    const int64_t tile = i / in.count(), chunk = i % in.count();
    preparation->Part(i, tiles * in.count());
    f.Pack(tile, scratch + tile * f.tile_floats(), in.begin(chunk),
           in.end(chunk));
  };
  const auto multiply = [&](int64_t i) {
    if (!preparation->good()) return;
    const int64_t tile = i / out.count(), chunk = i % out.count();
    f.Multiply(tile, scratch + tile * f.tile_floats(), out.begin(chunk),
               out.end(chunk));
  };
  runtime->Run({{tiles * in.count(), pack}, {tiles * out.count(), multiply}});
  return preparation->problem();
}

}  // namespace

std::string RunDenseForward(const DenseForwardCall& call, Runtime* runtime) {
  const Kernels& kernels = KernelsFor(call.batch);
  const Compressed csc = {call.col_ptr, call.panels * call.outputs,
                          call.row_idx, call.inputs, call.nnz};
  float* values = runtime->Scratch(call.nnz);
  if (values == nullptr) return kNoMemory;
  const Gathering gathering = {call.values, call.perm, values};
  if (call.batch == 0 || call.outputs == 0) {
    return Prepare(csc, &gathering, kernels, 1, runtime);
  }
  Preparation preparation(csc, &gathering, kernels);
  if (!preparation.good()) return preparation.problem();
  const int threads = ThreadsFor(2.0 * call.nnz * call.batch, *runtime);
  const int64_t panel_rows = (call.inputs + call.panels - 1) / call.panels;
  const Tiles tiles = CutBatch(call.batch, kernels.lanes, 8, threads,
                               panel_rows * sizeof(float));
  const Forward forward = {call, kernels, tiles, values};
  return ByTiles(tiles, threads)
             ? ForwardByTiles(forward, &preparation, threads, runtime)
             : ForwardByChunks(forward, &preparation, threads, runtime);
}

}  // namespace tf_pai

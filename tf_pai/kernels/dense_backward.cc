#include <algorithm>
#include <vector>

#include "dense.h"
#include "dense_common.h"
#include "structure.h"

namespace tf_pai {

namespace {

// Rows (columns) of a compressed matrix in chunks of about equal work, each of
// a multiple of `step` lines: the first line of every chunk, and the end.
std::vector<int> Chunks(const int32_t* pointers, int64_t lines, int64_t step,
                        int64_t wanted) {
  const auto work = [&](int64_t i) { return pointers[i] + 4 * i; };
  std::vector<int> first = {0};
  int64_t line = 0;
  for (int64_t chunk = 1; chunk < wanted; ++chunk) {
    while (line < lines && work(line) < work(lines) * chunk / wanted) {
      line = std::min(line + step, lines);
    }
    if (line > first.back() && line < lines) first.push_back(line);
  }
  first.push_back(lines);
  return first;
}

struct Backward {
  const DenseBackwardCall& call;
  const Kernels& kernels;
  Tiles tiles;

  // A tile of x, and behind it one of dy.
  int64_t tile_floats() const {
    return (call.inputs + call.outputs) * tiles.size();
  }
  float* dy_tile(float* x) const { return x + call.inputs * tiles.size(); }

  void PackX(int64_t tile, float* x, int begin, int end) const {
    const int size = tiles.vectors_of(tile) * tiles.lanes;
    kernels.transpose_in({call.x + tiles.begin(tile) * call.inputs, call.inputs,
                          tiles.rows(tile), size, x, size},
                         nullptr, nullptr, begin, end);
  }

  void PackDy(int64_t tile, float* x, float* dbias, int begin, int end) const {
    const int size = tiles.vectors_of(tile) * tiles.lanes;
    const int64_t at = tiles.begin(tile) * call.outputs;
    kernels.transpose_in(
        {call.dy + at, call.outputs, tiles.rows(tile), size, dy_tile(x), size},
        call.relu_output ? call.relu_output + at : nullptr, dbias, begin, end);
  }

  void Sweep(int64_t tile, float* x, float* dvalues, bool accumulate, int begin,
             int end) const {
    float* dx = call.dx ? call.dx + tiles.begin(tile) * call.inputs : nullptr;
    kernels.dense_backward(
        {x, dy_tile(x), tiles.vectors_of(tile), call.row_ptr, call.col_idx,
         call.values, dvalues, accumulate, dx, call.inputs, tiles.rows(tile)},
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

// Each thread sweeps its own tiles, with its own dvalues and dbias, which are
// added up in the end (always in the same order).
std::string BackwardByTiles(const Backward& b, const Compressed& csr,
                            int threads, Runtime* runtime) {
  const DenseBackwardCall& call = b.call;
  const int64_t parts = std::min<int64_t>(b.tiles.count(), threads);
  const int64_t bias_size = call.dbias != nullptr ? call.outputs : 0;
  const int64_t sums = RoundUp(call.nnz + bias_size, 16);
  float* tiles = runtime->Scratch(parts * b.tile_floats());
  float* partial = runtime->Scratch((parts - 1) * sums);
  if (tiles == nullptr || partial == nullptr) return kNoMemory;
  const std::string problem =
      Prepare(csr, nullptr, b.kernels, threads, runtime);
  if (!problem.empty()) return problem;
  runtime->For(parts, [&](int64_t part) {
    float* x = tiles + part * b.tile_floats();
    float* dvalues = part == 0 ? call.dvalues : partial + (part - 1) * sums;
    float* dbias =
        part == 0 || bias_size == 0 ? call.dbias : dvalues + call.nnz;
    if (bias_size > 0) std::fill(dbias, dbias + bias_size, 0.f);
    const int64_t begin = PartBegin(b.tiles.count(), part, parts);
    const int64_t end = PartBegin(b.tiles.count(), part + 1, parts);
    for (int64_t t = begin; t < end; ++t) {
      b.PackX(t, x, 0, call.inputs);
      b.PackDy(t, x, dbias, 0, call.outputs);
      b.Sweep(t, x, dvalues, t > begin, 0, call.inputs);
    }
  });
  const int64_t slices = call.nnz < kSerialWeights ? 1 : threads;
  runtime->For(parts == 1 ? 0 : slices, [&](int64_t i) {
    AddParts(partial, parts - 1, sums, PartBegin(call.nnz, i, slices),
             PartBegin(call.nnz, i + 1, slices), call.dvalues);
  });
  AddParts(partial + call.nnz, parts - 1, sums, 0, bias_size, call.dbias);
  return "";
}

// All threads transpose, then each has some rows.
std::string BackwardByRows(const Backward& b, const Compressed& csr,
                           int threads, Runtime* runtime) {
  const DenseBackwardCall& call = b.call;
  const int64_t longest = std::max(call.inputs, call.outputs);
  const int64_t step = RoundUp(longest / threads + 1, b.tiles.lanes);
  const int64_t x_blocks = (call.inputs + step - 1) / step;
  const int64_t blocks = x_blocks + (call.outputs + step - 1) / step;
  float* tiles = runtime->Scratch(b.tiles.count() * b.tile_floats());
  if (tiles == nullptr) return kNoMemory;
  if (call.dbias) std::fill(call.dbias, call.dbias + call.outputs, 0.f);
  const auto pack = [&](int64_t i) {
    const int64_t begin = (i < x_blocks ? i : i - x_blocks) * step;
    for (int64_t t = 0; t < b.tiles.count(); ++t) {
      float* x = tiles + t * b.tile_floats();
      if (i < x_blocks) {
        b.PackX(t, x, begin, std::min(begin + step, call.inputs));
      } else {
        b.PackDy(t, x, call.dbias, begin, std::min(begin + step, call.outputs));
      }
    }
  };
  const std::string problem =
      Prepare(csr, nullptr, b.kernels, threads, runtime, {blocks, pack});
  if (!problem.empty()) return problem;
  const std::vector<int> chunk =
      Chunks(call.row_ptr, call.inputs, b.tiles.lanes, threads);
  runtime->For(chunk.size() - 1, [&](int64_t i) {
    for (int64_t t = 0; t < b.tiles.count(); ++t) {
      b.Sweep(t, tiles + t * b.tile_floats(), call.dvalues, t > 0, chunk[i],
              chunk[i + 1]);
    }
  });
  return "";
}

}  // namespace

std::string RunDenseBackward(const DenseBackwardCall& call, Runtime* runtime) {
  const Kernels& kernels = KernelsFor(call.batch);
  const Compressed csr = {call.row_ptr, call.inputs, call.col_idx, call.outputs,
                          call.nnz};
  if (call.batch == 0 || call.inputs == 0) {
    std::fill(call.dvalues, call.dvalues + call.nnz, 0.f);
    if (call.dbias) std::fill(call.dbias, call.dbias + call.outputs, 0.f);
    return Prepare(csr, nullptr, kernels, 1, runtime);
  }
  const int threads = ThreadsFor(4.0 * call.nnz * call.batch, *runtime);
  // 16 lanes come with 32 registers, which hold 8 vectors of x and of dx.
  const int max_vectors = kernels.lanes == 16 ? 8 : 4;
  const Tiles tiles =
      CutBatch(call.batch, kernels.lanes, max_vectors, threads, 0);
  const Backward backward = {call, kernels, tiles};
  return ByTiles(tiles, threads)
             ? BackwardByTiles(backward, csr, threads, runtime)
             : BackwardByRows(backward, csr, threads, runtime);
}

}  // namespace tf_pai

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "conv_common.h"
#include "structure.h"

namespace tf_pai {

namespace {

// Groups the weights of each output channel by kernel row (a counting sort, so
// that an unordered structure gives a wrong sum at worst).
TapArrays ForwardTaps(const ConvForwardCall& call, const Planes& x,
                      const float* values) {
  const ConvShape& s = call.shape;
  std::vector<int32_t> offset_of(s.matrix_rows()), ky_of(s.matrix_rows());
  for (int64_t row = 0; row < s.matrix_rows(); ++row) {
    const MatrixRow at = Decode(s, row);
    const int phase = at.ky % s.stride_y * x.phases_x + at.kx % s.stride_x;
    ky_of[row] = at.ky;
    offset_of[row] = static_cast<int32_t>(
        at.channel * x.channel_size() + phase * x.phase_size() +
        at.ky / s.stride_y * x.row_size() + at.kx / s.stride_x * x.lanes);
  }
  TapArrays taps;
  taps.ptr.assign(int64_t{s.out_channels} * s.kernel_height + 1, 0);
  taps.offset.resize(call.nnz);
  taps.values.resize(call.nnz);
  // Calls f(weight, its row of the matrix, its group).
  const auto for_each_weight = [&](const auto& f) {
    for (int64_t line = 0; line < call.panels * s.out_channels; ++line) {
      const int64_t group = line % s.out_channels * s.kernel_height;
      for (int p = call.col_ptr[line]; p < call.col_ptr[line + 1]; ++p) {
        const int64_t row = IndexAt(call.row_idx, p);
        f(p, row, group + ky_of[row]);
      }
    }
  };
  for_each_weight([&](int, int64_t, int64_t g) { ++taps.ptr[g + 1]; });
  std::partial_sum(taps.ptr.begin(), taps.ptr.end(), taps.ptr.begin());
  std::vector<int32_t> next(taps.ptr.begin(), taps.ptr.end() - 1);
  for_each_weight([&](int p, int64_t row, int64_t g) {
    const int to = next[g]++;
    taps.offset[to] = offset_of[row];
    taps.values[to] = values[p];
  });
  return taps;
}

struct ConvForward {
  const ConvForwardCall& call;
  const Kernels& kernels;
  Tasks tasks;
  Planes x, y;
  Taps taps;

  void Run(int64_t task, float* x_band, float* y_band) const {
    const int row = tasks.row(task), count = tasks.row_count(task);
    const int images = tasks.images(task);
    const int halo = Shift(call.shape.kernel_height, call.shape.stride_y);
    kernels.pack_band({x, row, count + halo, images, nullptr, nullptr, 0},
                      call.x + tasks.image(task) * ImageSize(x), x_band);
    kernels.conv_forward({taps, call.shape.kernel_height, x, y, x_band, y_band,
                          row, count, call.bias, call.relu});
    kernels.unpack_band({y, row, count, images, nullptr, nullptr, 0}, y_band,
                        call.y + tasks.image(task) * ImageSize(y));
  }
};

}  // namespace

std::string RunConvForward(const ConvForwardCall& call, Runtime* runtime) {
  const ConvShape& s = call.shape;
  const Kernels& kernels = KernelsFor(s.batch);
  const Compressed csc = {call.col_ptr, call.panels * s.out_channels,
                          call.row_idx, s.matrix_rows(), call.nnz};
  float* values = runtime->Scratch(call.nnz);
  if (values == nullptr) return kNoMemory;
  const int threads = ThreadsFor(s, call.nnz, *runtime);
  const Gathering gathering = {call.values, call.perm, values};
  const std::string problem =
      Prepare(csc, &gathering, kernels, threads, runtime);
  if (!problem.empty()) return problem;
  if (s.batch * s.out_height * s.out_width * s.out_channels == 0) return "";

  const int lanes = TileLanes(s, kernels, threads);
  const int halo = Shift(s.kernel_height, s.stride_y);
  const int cols = s.out_width + Shift(s.kernel_width, s.stride_x);
  const int64_t x_row = InputPlanes(s, 1, cols, lanes).size();
  const int64_t y_row = int64_t{s.out_channels} * s.out_width * lanes;
  const int rows = BandRows(x_row + y_row, halo * x_row, s.out_height);
  const Planes x = InputPlanes(s, rows + halo, cols, lanes);
  const Planes y = OutputPlanes(s, 0, 0, rows, s.out_width, lanes);
  if (!Fits(x) || !Fits(y)) return kTooLarge;

  const TapArrays taps = ForwardTaps(call, x, values);
  const Tasks tasks = {s.batch, lanes, s.out_height, rows, threads};
  float* scratch = runtime->Scratch(tasks.parts() * (x.size() + y.size()));
  if (scratch == nullptr) return kNoMemory;
  const ConvForward forward = {call, kernels, tasks, x, y, taps.view()};
  runtime->For(tasks.parts(), [&](int64_t part) {
    float* x_band = scratch + part * (x.size() + y.size());
    std::memset(x_band, 0, sizeof(float) * x.size());
    const int64_t end = PartBegin(tasks.count(), part + 1, tasks.parts());
    for (int64_t task = PartBegin(tasks.count(), part, tasks.parts());
         task < end; ++task) {
      forward.Run(task, x_band, x_band + x.size());
    }
  });
  return "";
}

}  // namespace tf_pai

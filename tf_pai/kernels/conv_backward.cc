#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "conv_common.h"
#include "structure.h"

namespace tf_pai {

namespace {

// Groups the weights by input channel, phase and kernel row / stride. A row of
// the matrix stays whole: `start` is its first tap.
struct BackwardTapArrays : TapArrays {
  std::vector<int32_t> start;
};

BackwardTapArrays BackwardTaps(const ConvBackwardCall& call, const Planes& x,
                               const Planes& dy) {
  const ConvShape& s = call.shape;
  const int shift_y = Shift(s.kernel_height, s.stride_y);
  const int shift_x = Shift(s.kernel_width, s.stride_x);
  const auto group_of = [&](const MatrixRow& at) {
    const int phase = at.ky % s.stride_y * x.phases_x + at.kx % s.stride_x;
    return (int64_t{at.channel} * x.phases_y * x.phases_x + phase) *
               (shift_y + 1) +
           at.ky / s.stride_y;
  };
  BackwardTapArrays taps;
  const int64_t groups =
      int64_t{s.in_channels} * x.phases_y * x.phases_x * (shift_y + 1);
  taps.ptr.assign(groups + 1, 0);
  taps.start.resize(s.matrix_rows());
  taps.offset.resize(call.nnz);
  taps.values.resize(call.nnz);
  for (int64_t row = 0; row < s.matrix_rows(); ++row) {
    taps.ptr[group_of(Decode(s, row)) + 1] +=
        call.row_ptr[row + 1] - call.row_ptr[row];
  }
  std::partial_sum(taps.ptr.begin(), taps.ptr.end(), taps.ptr.begin());
  std::vector<int32_t> next(taps.ptr.begin(), taps.ptr.end() - 1);
  for (int64_t row = 0; row < s.matrix_rows(); ++row) {
    const MatrixRow at = Decode(s, row);
    const int64_t shift = (shift_y - at.ky / s.stride_y) * dy.row_size() +
                          (shift_x - at.kx / s.stride_x) * dy.lanes;
    int32_t& to = next[group_of(at)];
    taps.start[row] = to;
    for (int p = call.row_ptr[row]; p < call.row_ptr[row + 1]; ++p, ++to) {
      taps.values[to] = call.values[p];
      taps.offset[to] = static_cast<int32_t>(
          IndexAt(call.col_idx, p) * dy.channel_size() + shift);
    }
  }
  return taps;
}

struct ConvBackward {
  const ConvBackwardCall& call;
  const Kernels& kernels;
  Tasks tasks;
  Planes x, dy;
  Taps taps;
  int64_t most_taps;  // of any group of channels

  bool need_dx() const { return call.dx != nullptr; }
  int group_taps() const {
    return static_cast<int>(kGroupBytes / sizeof(float) / kernels.lanes);
  }
  // What a thread needs: bands of dy, x and dx, sums, dvalues and dbias.
  int64_t bands() const {
    return dy.size() + x.size() * (need_dx() ? 2 : 1) +
           most_taps * kernels.lanes;
  }
  int64_t sums() const {
    return RoundUp(call.nnz + call.shape.out_channels, 16);
  }

  void Run(int64_t task, float* dy_band, float* dvalues) const {
    const int row = tasks.row(task), count = tasks.row_count(task);
    const int images = tasks.images(task);
    const ConvShape& s = call.shape;
    const int halo = Shift(s.kernel_height, s.stride_y);
    float* x_band = dy_band + dy.size();
    float* dx_band = need_dx() ? x_band + x.size() : nullptr;
    float* lane_sums = dy_band + bands() - most_taps * kernels.lanes;
    const int64_t dy_at = tasks.image(task) * ImageSize(dy);
    const int64_t x_at = tasks.image(task) * ImageSize(x);
    kernels.pack_band({x, row, count, images, nullptr, nullptr, 0},
                      call.x + x_at, x_band);
    kernels.pack_band({dy, row, count + halo, images,
                       call.relu_output ? call.relu_output + dy_at : nullptr,
                       call.dbias ? dvalues + call.nnz : nullptr, halo},
                      call.dy + dy_at, dy_band);
    kernels.conv_backward({taps, halo + 1, x, dy, x_band, dy_band, dx_band, row,
                           count, s.out_height, lane_sums, group_taps(),
                           dvalues});
    if (need_dx()) {
      kernels.unpack_band({x, row, count, images, nullptr, nullptr, 0}, dx_band,
                          call.dx + x_at);
    }
  }
};

// The most taps whose sums the backward kernel holds at once.
int64_t MostTaps(const Taps& taps, int channels, int per_channel,
                 int group_taps) {
  int64_t most = group_taps;
  for (int c = 0; c < channels; ++c) {
    most = std::max<int64_t>(most, taps.ptr[(c + int64_t{1}) * per_channel] -
                                       taps.ptr[int64_t{c} * per_channel]);
  }
  return most;
}

// Adds up the threads' gradients, in their order, and puts them in CSR order.
void Collect(const ConvBackward& b, const std::vector<int32_t>& start,
             const float* partial) {
  const ConvBackwardCall& call = b.call;
  const auto sum = [&](int64_t i) {
    float total = partial[i];
    for (int64_t part = 1; part < b.tasks.parts(); ++part) {
      total += partial[part * b.sums() + i];
    }
    return total;
  };
  for (int64_t row = 0; row < call.shape.matrix_rows(); ++row) {
    const int begin = call.row_ptr[row];
    for (int p = begin; p < call.row_ptr[row + 1]; ++p) {
      call.dvalues[p] = sum(start[row] + p - begin);
    }
  }
  for (int c = 0; call.dbias && c < call.shape.out_channels; ++c) {
    call.dbias[c] = sum(call.nnz + c);
  }
}

void ClearGradients(const ConvBackwardCall& call) {
  const ConvShape& s = call.shape;
  const int64_t size = s.batch * s.height * s.width * s.in_channels;
  if (call.dx) std::fill(call.dx, call.dx + size, 0.f);
  std::fill(call.dvalues, call.dvalues + call.nnz, 0.f);
  if (call.dbias) std::fill(call.dbias, call.dbias + s.out_channels, 0.f);
}

}  // namespace

std::string RunConvBackward(const ConvBackwardCall& call, Runtime* runtime) {
  const ConvShape& s = call.shape;
  const Kernels& kernels = KernelsFor(s.batch);
  const Compressed csr = {call.row_ptr, s.matrix_rows(), call.col_idx,
                          s.out_channels, call.nnz};
  const int threads = ThreadsFor(s, 2 * call.nnz, *runtime);
  const std::string problem = Prepare(csr, nullptr, kernels, threads, runtime);
  if (!problem.empty()) return problem;
  const bool empty = s.batch * s.out_height * s.out_width * s.in_channels == 0;
  // Where the stride skips pixels, their dx is not computed: it is zero.
  const bool skips =
      s.stride_y > s.kernel_height || s.stride_x > s.kernel_width;
  if (empty || skips) ClearGradients(call);
  if (empty) return "";

  const int lanes = TileLanes(s, kernels, threads);
  const int halo = Shift(s.kernel_height, s.stride_y);
  const int halo_x = Shift(s.kernel_width, s.stride_x);
  const int all_rows = (s.pad_y + s.height + s.stride_y - 1) / s.stride_y;
  const int cols = (s.pad_x + s.width + s.stride_x - 1) / s.stride_x;
  const int64_t x_row =
      InputPlanes(s, 1, cols, lanes).size() * (call.dx != nullptr ? 2 : 1);
  const int64_t dy_row = int64_t{s.out_channels} * (cols + halo_x) * lanes;
  const int rows = BandRows(x_row + dy_row, halo * dy_row, all_rows);
  const Planes x = InputPlanes(s, rows, cols, lanes);
  const Planes dy =
      OutputPlanes(s, halo, halo_x, rows + halo, cols + halo_x, lanes);
  if (!Fits(x) || !Fits(dy)) return kTooLarge;

  const BackwardTapArrays taps = BackwardTaps(call, x, dy);
  const Tasks tasks = {s.batch, lanes, all_rows, rows, threads};
  ConvBackward backward = {call, kernels, tasks, x, dy, taps.view(), 0};
  backward.most_taps =
      MostTaps(backward.taps, s.in_channels,
               x.phases_y * x.phases_x * (halo + 1), backward.group_taps());
  float* bands = runtime->Scratch(tasks.parts() * backward.bands());
  float* partial = runtime->Scratch(tasks.parts() * backward.sums());
  if (bands == nullptr || partial == nullptr) return kNoMemory;
  runtime->For(tasks.parts(), [&](int64_t part) {
    float* dy_band = bands + part * backward.bands();
    float* dvalues = partial + part * backward.sums();
    std::memset(dy_band, 0, sizeof(float) * dy.size());
    std::memset(dvalues, 0, sizeof(float) * backward.sums());
    const int64_t end = PartBegin(tasks.count(), part + 1, tasks.parts());
    for (int64_t task = PartBegin(tasks.count(), part, tasks.parts());
         task < end; ++task) {
      backward.Run(task, dy_band, dvalues);
    }
  });
  Collect(backward, taps.start, partial);
  return "";
}

}  // namespace tf_pai

// A stand-alone test of the kernels, without TensorFlow, meant to be built with
// AddressSanitizer or ThreadSanitizer: random layers against plain loops, and
// structures that have been tampered with. `python -m tf_pai.kernels build
// --sanitize=address` (or thread) builds and runs it, once per instruction set.

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "check_dense.h"
#include "check_masks.h"
#include "check_places.h"
#include "check_processors.h"
#include "check_support.h"
#include "check_tasks.h"
#include "conv.h"

namespace {

using tf_pai::ConvShape;

void CheckConv(const ConvShape& s, double density, bool relu, bool wide,
               int threads) {
  const Matrix w(static_cast<int>(s.matrix_rows()), s.out_channels, density);
  const int64_t pixels = s.batch * s.out_height * s.out_width;
  const Floats x = RandomFloats(s.batch * s.height * s.width * s.in_channels);
  const Floats dy = RandomFloats(pixels * s.out_channels);
  const Floats bias = RandomFloats(s.out_channels);
  Floats y(dy.size()), dx(x.size()), dvalues(w.nnz()), dbias(s.out_channels);
  ThreadRuntime runtime(threads);
  const std::string name = "conv " + std::to_string(s.batch) + "x" +
                           std::to_string(s.height) + "x" +
                           std::to_string(s.width);
  Expect(RunConvForward(
             {s, w.panels, w.nnz(), x.data(), w.values.data(), bias.data(),
              relu, w.col_ptr.data(), w.Rows(wide), w.perm.data(), y.data()},
             &runtime)
             .empty(),
         name);
  Expect(RunConvBackward(
             {s, w.nnz(), x.data(), dy.data(), relu ? y.data() : nullptr,
              w.values.data(), w.row_ptr.data(), w.Cols(wide), dx.data(),
              dvalues.data(), dbias.data()},
             &runtime)
             .empty(),
         name);
  const Floats g = Masked(dy, y, relu);
  std::vector<double> ey(y.size()), ex(x.size()), ev(w.nnz()),
      eb(s.out_channels);
  for (int64_t pixel = 0; pixel < pixels; ++pixel) {
    const int ox = pixel % s.out_width;
    const int oy = pixel / s.out_width % s.out_height;
    const int64_t image = pixel / s.out_width / s.out_height;
    for (int c = 0; c < s.out_channels; ++c) {
      ey[pixel * s.out_channels + c] = bias[c];
      eb[c] += g[pixel * s.out_channels + c];
    }
    ForEach(w, [&](int row, int c, int p) {
      const int tap = row / s.in_channels;
      const int iy = oy * s.stride_y + tap / s.kernel_width - s.pad_y;
      const int ix = ox * s.stride_x + tap % s.kernel_width - s.pad_x;
      if (iy < 0 || iy >= s.height || ix < 0 || ix >= s.width) return;
      const int64_t from =
          ((image * s.height + iy) * s.width + ix) * s.in_channels +
          row % s.in_channels;
      const int64_t to = pixel * s.out_channels + c;
      ey[to] += double{w.values[p]} * x[from];
      ex[from] += double{w.values[p]} * g[to];
      ev[p] += double{x[from]} * g[to];
    });
  }
  for (double& value : ey) value = relu ? std::max(value, 0.) : value;
  ExpectNear(y, ey, name + " y");
  ExpectNear(dx, ex, name + " dx");
  ExpectNear(dvalues, ev, name + " dvalues");
  ExpectNear(dbias, eb, name + " dbias");
}

ConvShape RandomShape() {
  ConvShape s;
  s.batch = Random(1, 35);
  s.height = Random(1, 12);
  s.width = Random(1, 12);
  s.in_channels = Random(1, 20);
  s.out_channels = Random(1, 20);
  s.kernel_height = Random(1, 5);
  s.kernel_width = Random(1, 5);
  s.stride_y = Random(1, 3);
  s.stride_x = Random(1, 3);
  const bool same = Random(0, 1) == 1 || s.height < s.kernel_height ||
                    s.width < s.kernel_width;
  const auto out = [same](int length, int kernel, int stride) {
    return same ? (length + stride - 1) / stride
                : (length - kernel) / stride + 1;
  };
  const auto pad = [same](int length, int kernel, int stride, int out) {
    return same ? std::max(0, (out - 1) * stride + kernel - length) / 2 : 0;
  };
  s.out_height = out(s.height, s.kernel_height, s.stride_y);
  s.out_width = out(s.width, s.kernel_width, s.stride_x);
  s.pad_y = pad(s.height, s.kernel_height, s.stride_y, s.out_height);
  s.pad_x = pad(s.width, s.kernel_width, s.stride_x, s.out_width);
  return s;
}

// Every way to tamper must be refused, by both passes of both layers: in one
// thread, by more tiles than threads, and by fewer.
using Tamper = void (*)(Matrix*);

void CheckTamperedDense(const std::string& name, Tamper tamper) {
  constexpr struct {
    int batch, inputs, outputs, threads;
  } kCases[] = {{75, 18, 7, 2}, {600, 150, 200, 3}, {40, 400, 400, 4}};
  for (const auto& c : kCases) {
    Matrix w(c.inputs, c.outputs, 0.5);
    tamper(&w);
    DenseRun run(c.batch, w);
    Expect(!run.Run(true, true, c.threads), "tampered dense: " + name);
  }
}

void CheckTampered(const std::string& name, Tamper tamper) {
  CheckTamperedDense(name, tamper);
  Matrix w(18, 7, 0.5);
  tamper(&w);
  const ConvShape s = {3, 5, 5, 2, 7, 3, 3, 1, 1, 1, 1, 5, 5};
  const int pixels = 75;
  const Floats x(pixels * 18), dy(pixels * 7);
  Floats y(dy.size()), dx(x.size()), dvalues(w.nnz());
  ThreadRuntime runtime(2);
  const std::string forward = RunConvForward(
      {s, w.panels, w.nnz(), x.data(), w.values.data(), nullptr, false,
       w.col_ptr.data(), w.Rows(true), w.perm.data(), y.data()},
      &runtime);
  const std::string backward = RunConvBackward(
      {s, w.nnz(), x.data(), dy.data(), nullptr, w.values.data(),
       w.row_ptr.data(), w.Cols(true), dx.data(), dvalues.data(), nullptr},
      &runtime);
  Expect(!forward.empty() && !backward.empty(), "tampered conv: " + name);
}

void CheckAllTampered() {
  CheckTampered("index too large", [](Matrix* w) {
    w->row_idx[3] = w->rows;
    w->col_idx[3] = w->cols;
  });
  CheckTampered("index negative", [](Matrix* w) {
    w->row_idx.back() = -1;
    w->col_idx.back() = -1;
  });
  CheckTampered("pointer goes down", [](Matrix* w) {
    w->row_ptr[5] = w->row_ptr[4] - 1;
    w->col_ptr[5] = w->col_ptr[4] - 1;
  });
  CheckTampered("last pointer too large", [](Matrix* w) {
    ++w->row_ptr.back();
    ++w->col_ptr.back();
  });
  CheckTampered("first pointer",
                [](Matrix* w) { w->row_ptr[0] = w->col_ptr[0] = 1; });
  CheckTampered("permutation, and a pointer", [](Matrix* w) {
    w->perm[2] = w->nnz();
    w->row_ptr[2] = 1 << 30;
  });
}

}  // namespace

int main() {
  CheckAllDense();
  for (int i = 0; i < 100; ++i) {
    CheckConv(RandomShape(), Random(0, 10) / 10., Random(0, 1), Random(0, 1),
              Random(1, 5));
  }
  for (int i = 0; i < 200; ++i) {
    const int n = Random(1, 2000);
    CheckHighestNear(n, Random(0, n), Random(0, 1));
    CheckLargest(n, Random(0, n));
    CheckZeroPruned(n, Random(1, 5));
    CheckCounting(n);
  }
  for (int i = 0; i < 60; ++i) {
    CheckPlaces(Random(1, 90), Random(1, 30), Random(1, 5), Random(0, 10));
  }
  for (int i = 0; i < 20; ++i) CheckLargest(40000, Random(0, 40000));
  CheckZeroPruned(200000, 3);
  for (const int n : {0, 100000}) CheckCounting(n);
  CheckAllTampered();
  CheckOtherProcessor();
  CheckTasks();
  std::printf("%d lanes: %s\n", tf_pai::WidestLanes(),
              failures == 0 ? "all checks passed" : "failed");
  return failures == 0 ? 0 : 1;
}

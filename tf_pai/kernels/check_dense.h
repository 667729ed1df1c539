// Checks the sparse Dense layer, and its gradients, against plain loops.

#ifndef TF_PAI_KERNELS_CHECK_DENSE_H_
#define TF_PAI_KERNELS_CHECK_DENSE_H_

#include <algorithm>
#include <string>
#include <vector>

#include "check_support.h"
#include "dense.h"

// dy after the gradient of the ReLU that gave y.
inline Floats Masked(const Floats& dy, const Floats& y, bool relu) {
  Floats masked = dy;
  for (size_t i = 0; relu && i < dy.size(); ++i) {
    if (y[i] <= 0) masked[i] = 0;
  }
  return masked;
}

// A layer's inputs, and what the kernels make of them.
struct DenseRun {
  int batch;
  const Matrix& w;
  Floats x, dy, bias;
  Floats y, dx, dvalues, dbias;

  DenseRun(int batch, const Matrix& w)
      : batch(batch),
        w(w),
        x(RandomFloats(int64_t{batch} * w.rows)),
        dy(RandomFloats(int64_t{batch} * w.cols)),
        bias(RandomFloats(w.cols)) {}

  // Whether both passes took the structure.
  bool Run(bool relu, bool wide, int threads) {
    y.assign(dy.size(), NAN);
    dx.assign(x.size(), NAN);
    dvalues.assign(w.nnz(), NAN);
    dbias.assign(w.cols, NAN);
    ThreadRuntime runtime(threads);
    const std::string forward =
        RunDenseForward({batch, w.rows, w.cols, w.panels, w.nnz(), x.data(),
                         w.values.data(), bias.data(), relu, w.col_ptr.data(),
                         w.Rows(wide), w.perm.data(), y.data()},
                        &runtime);
    const std::string backward = RunDenseBackward(
        {batch, w.rows, w.cols, w.nnz(), x.data(), dy.data(),
         relu ? y.data() : nullptr, w.values.data(), w.row_ptr.data(),
         w.Cols(wide), dx.data(), dvalues.data(), dbias.data()},
        &runtime);
    Expect(forward.empty() == backward.empty(), "passes do not agree");
    return forward.empty();
  }

  bool operator==(const DenseRun& o) const {
    return y == o.y && dx == o.dx && dvalues == o.dvalues && dbias == o.dbias;
  }
};

inline void CheckDense(int batch, int inputs, int outputs, double density,
                       bool relu, bool wide, int threads) {
  const Matrix w(inputs, outputs, density);
  DenseRun run(batch, w);
  const std::string name = "dense " + std::to_string(batch) + "x" +
                           std::to_string(inputs) + "x" +
                           std::to_string(outputs);
  Expect(run.Run(relu, wide, threads), name);
  DenseRun again = run;
  Expect(again.Run(relu, wide, threads) && again == run, name + ": other bits");
  const Floats &x = run.x, &dy = run.dy, &bias = run.bias, &y = run.y;
  const Floats g = Masked(dy, y, relu);
  std::vector<double> ey(y.size()), ex(x.size()), ev(w.nnz()), eb(outputs);
  for (int b = 0; b < batch; ++b) {
    for (int j = 0; j < outputs; ++j) {
      ey[b * outputs + j] = bias[j];
      eb[j] += g[b * outputs + j];
    }
    ForEach(w, [&](int k, int j, int p) {
      ey[b * outputs + j] += double{w.values[p]} * x[b * inputs + k];
      ex[b * inputs + k] += double{w.values[p]} * g[b * outputs + j];
      ev[p] += double{x[b * inputs + k]} * g[b * outputs + j];
    });
  }
  for (double& value : ey) value = relu ? std::max(value, 0.) : value;
  ExpectNear(y, ey, name + " y");
  ExpectNear(run.dx, ex, name + " dx");
  ExpectNear(run.dvalues, ev, name + " dvalues");
  ExpectNear(run.dbias, eb, name + " dbias");
}

inline void CheckAllDense() {
  for (int i = 0; i < 60; ++i) {
    CheckDense(Random(1, 300), Random(1, 90), Random(1, 90),
               Random(0, 10) / 10., Random(0, 1), Random(0, 1), Random(1, 5));
  }
  for (int i = 0; i < 20; ++i) {  // large enough for more than one thread
    CheckDense(Random(100, 300), Random(100, 200), Random(200, 300), 0.5,
               Random(0, 1), Random(0, 1), Random(2, 5));
  }
  CheckDense(1000, 200, 150, 0.2, true, false, 3);
  CheckDense(16, 500, 400, 0.8, true, true, 5);   // fewer tiles than threads
  CheckDense(70, 600, 500, 0.6, true, false, 3);  // threads in each pass
  CheckDense(40, 600, 500, 0.6, false, true, 4);
  for (const int threads : {1, 3}) {  // nothing to multiply
    CheckDense(200, 0, 20, 0.5, true, false, threads);
    CheckDense(200, 20, 0, 0.5, true, false, threads);
  }
}

#endif  // TF_PAI_KERNELS_CHECK_DENSE_H_

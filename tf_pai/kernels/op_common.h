// What the TensorFlow ops of dense and convolutional layers share.

#ifndef TF_PAI_KERNELS_OP_COMMON_H_
#define TF_PAI_KERNELS_OP_COMMON_H_

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "kernels.h"
#include "runtime.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace tf_pai {

using namespace tensorflow;  // NOLINT: as TensorFlow's own kernels do
using shape_inference::DimensionHandle;
using shape_inference::InferenceContext;
using shape_inference::ShapeHandle;

// Tasks that whichever thread is free takes next. A thread that comes too late
// finds none, and nobody waits for it: waking a thread may take longer than the
// work. Held by all threads, since the last may come when the call is over.
class SharedTasks {
 public:
  SharedTasks(int64_t n, const std::function<void(int64_t)>* task)
      : n_(n), task_(task) {}

  // Takes tasks until there are none. `task_` is only read before Wait returns.
  void Work() {
    for (int64_t i; (i = next_++) < n_;) {
      (*task_)(i);
      if (++done_ < n_) continue;
      const std::lock_guard<std::mutex> lock(mutex_);
      finished_.notify_one();
    }
  }

  // Until the tasks that other threads took are done: soon.
  void Wait() {
    for (int i = 0; i < kSpins && done_ < n_; ++i) std::this_thread::yield();
    std::unique_lock<std::mutex> lock(mutex_);
    finished_.wait(lock, [this] { return done_ == n_; });
  }

 private:
  static constexpr int kSpins = 200;
  const int64_t n_;
  const std::function<void(int64_t)>* const task_;
  std::atomic<int64_t> next_{0}, done_{0};
  std::mutex mutex_;
  std::condition_variable finished_;
};

// TensorFlow's intra-op threads and CPU allocator.
class OpRuntime : public Runtime {
 public:
  explicit OpRuntime(OpKernelContext* context)
      : context_(context),
        workers_(context->device()->tensorflow_cpu_worker_threads()) {}

  int threads() const override { return workers_->num_threads; }

  void For(int64_t n, const std::function<void(int64_t)>& task) override {
    if (n <= 1 || threads() <= 1) {
      for (int64_t i = 0; i < n; ++i) task(i);
      return;
    }
    const auto tasks = std::make_shared<SharedTasks>(n, &task);
    for (int64_t i = 1; i < std::min<int64_t>(n, threads()); ++i) {
      workers_->workers->Schedule([tasks] { tasks->Work(); });
    }
    tasks->Work();
    tasks->Wait();
  }

  float* Scratch(int64_t floats) override {
    Tensor tensor;
    const TensorShape shape({std::max<int64_t>(floats, 1)});
    if (!context_->allocate_temp(DT_FLOAT, shape, &tensor).ok()) return nullptr;
    held_.push_back(tensor);
    return tensor.flat<float>().data();
  }

 private:
  OpKernelContext* context_;
  const DeviceBase::CpuWorkerThreads* workers_;
  std::vector<Tensor> held_;
};

inline const float* Floats(const Tensor& t) {
  return t.NumElements() == 0 ? nullptr : t.flat<float>().data();
}

inline Indices IndicesOf(const Tensor& t) {
  if (t.dtype() == DT_INT32) return {t.flat<int32>().data(), true};
  return {t.flat<uint16>().data(), false};
}

// One order of a structure: pointers, indices and, for CSC, the permutation.
inline Status CheckLengths(const Tensor& values, const Tensor& pointers,
                           const Tensor& indices, int64_t lines) {
  if (values.dims() != 1 || pointers.dims() != 1 || indices.dims() != 1) {
    return errors::InvalidArgument(
        "values and structure arrays must have rank 1");
  }
  if (pointers.dim_size(0) != lines + 1) {
    return errors::InvalidArgument("there must be ", lines + 1,
                                   " pointers, not ", pointers.dim_size(0));
  }
  if (indices.dim_size(0) != values.dim_size(0)) {
    return errors::InvalidArgument("there must be ", values.dim_size(0),
                                   " indices, one for each value, not ",
                                   indices.dim_size(0));
  }
  return OkStatus();
}

inline Status CheckCsc(const Tensor& values, const Tensor& bias,
                       const Tensor& col_ptr, const Tensor& row_idx,
                       const Tensor& perm, int64_t panels) {
  const int64_t lines = col_ptr.NumElements() - 1;
  if (lines < 0 || lines % panels != 0) {
    return errors::InvalidArgument("there must be a multiple of ", panels,
                                   " pointers and one, not ", lines + 1);
  }
  const int64_t outputs = lines / panels;
  TF_RETURN_IF_ERROR(CheckLengths(values, col_ptr, row_idx, lines));
  if (perm.dims() != 1 || perm.dim_size(0) != values.dim_size(0)) {
    return errors::InvalidArgument("the permutation must have ",
                                   values.dim_size(0), " entries, not ",
                                   perm.NumElements());
  }
  if (bias.NumElements() != 0 && bias.NumElements() != outputs) {
    return errors::InvalidArgument("bias must have ", outputs,
                                   " elements or none, not ",
                                   bias.NumElements());
  }
  return OkStatus();
}

inline Status Checked(const std::string& problem) {
  if (problem.empty()) return OkStatus();
  return errors::InvalidArgument("The sparse structure is not valid: ", problem,
                                 ".");
}

// The outputs (columns) that the pointers of input 3 stand for.
inline Status OutputsDim(InferenceContext* c, DimensionHandle* outputs) {
  ShapeHandle pointers;
  int64_t panels;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(3), 1, &pointers));
  TF_RETURN_IF_ERROR(c->GetAttr("panels", &panels));
  TF_RETURN_IF_ERROR(c->Subtract(c->Dim(pointers, 0), 1, outputs));
  return c->Divide(*outputs, panels, /*evenly_divisible=*/true, outputs);
}

inline Status GradShape(InferenceContext* c) {
  c->set_output(0, c->input(0));
  c->set_output(1, c->input(3));
  bool use_bias;
  TF_RETURN_IF_ERROR(c->GetAttr("use_bias", &use_bias));
  c->set_output(2,
                c->Vector(use_bias ? c->Dim(c->input(1), -1) : c->MakeDim(0)));
  return OkStatus();
}

}  // namespace tf_pai

#endif  // TF_PAI_KERNELS_OP_COMMON_H_

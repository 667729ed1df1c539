// What the TensorFlow ops of dense and convolutional layers share.

#ifndef TF_PAI_KERNELS_OP_COMMON_H_
#define TF_PAI_KERNELS_OP_COMMON_H_

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels.h"
#include "runtime.h"
#include "shared_tasks.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

namespace tf_pai {

using namespace tensorflow;  // NOLINT: as TensorFlow's own kernels do
using shape_inference::DimensionHandle;
using shape_inference::InferenceContext;
using shape_inference::ShapeHandle;

// A little scratch memory that stays with its thread, and so in its cache: what
// TensorFlow's allocator gives was often last written by another processor.
struct KeptScratch {
  static constexpr int kSlots = 3;
  static constexpr int64_t kFloats = 1 << 17;

  // Null where there is no memory.
  static float* Slot(int slot) {
    static thread_local std::unique_ptr<void, void (*)(void*)> slots[kSlots] = {
        {nullptr, std::free}, {nullptr, std::free}, {nullptr, std::free}};
    void* memory = nullptr;
    if (slots[slot] == nullptr &&
        posix_memalign(&memory, 64, kFloats * sizeof(float)) == 0) {
      slots[slot].reset(memory);
    }
    return static_cast<float*>(slots[slot].get());
  }
};

// TensorFlow's intra-op threads and CPU allocator.
class OpRuntime : public Runtime {
 public:
  explicit OpRuntime(OpKernelContext* context)
      : context_(context),
        workers_(context->device()->tensorflow_cpu_worker_threads()) {}

  int threads() const override { return workers_->num_threads; }

  void Run(const std::vector<Stage>& stages) override {
    RunShared(stages, threads(), [this](std::function<void()> work) {
      workers_->workers->Schedule(std::move(work));
    });
  }

  float* Scratch(int64_t floats) override {
    if (floats <= KeptScratch::kFloats && kept_ < KeptScratch::kSlots) {
      return KeptScratch::Slot(kept_++);
    }
    Tensor tensor;
    const TensorShape shape({std::max<int64_t>(floats, 1)});
    if (!context_->allocate_temp(DT_FLOAT, shape, &tensor).ok()) return nullptr;
    held_.push_back(tensor);
    return tensor.flat<float>().data();
  }

 private:
  OpKernelContext* context_;
  const DeviceBase::CpuWorkerThreads* workers_;
  int kept_ = 0;
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

// What the forward pass, which reads the columns, does not see otherwise.
inline Status CheckRows(const Tensor& row_ptr, int64_t rows) {
  if (row_ptr.NumElements() != rows + 1) {
    return errors::InvalidArgument("x must have the kernel's ",
                                   row_ptr.NumElements() - 1,
                                   " rows as its inputs, not ", rows);
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

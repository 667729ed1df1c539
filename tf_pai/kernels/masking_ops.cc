// The TensorFlow op that sets pruned weights of a variable to zero.

#include <cstring>

#include "masking.h"
#include "op_common.h"
#include "tensorflow/core/framework/resource_mgr.h"
#include "tensorflow/core/framework/resource_var.h"

namespace tf_pai {

namespace {

class ZeroPrunedOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    core::RefCountPtr<Var> variable;
    OP_REQUIRES_OK(context, LookupResource(context, HandleFromInput(context, 0),
                                           &variable));
    const mutex_lock held(mutex_), locked(*variable->mu());
    Tensor* weights = variable->tensor();
    const Tensor& mask = context->input(1);
    OP_REQUIRES(
        context,
        weights->dtype() == DT_FLOAT && weights->shape() == mask.shape(),
        errors::InvalidArgument(
            "the variable must be of float32 and have the mask's shape ",
            mask.shape().DebugString(), ", not ", weights->DebugString(0)));
    if (!weights->RefCountIsOne()) {  // somebody read it and still has it
      Tensor copy;
      OP_REQUIRES_OK(context,
                     context->allocate_temp(DT_FLOAT, weights->shape(), &copy));
      std::memcpy(copy.data(), weights->data(), weights->TotalBytes());
      *weights = copy;
    }
    Pack(mask);
    OpRuntime runtime(context);
    RunZeroPruned(kept_, mask.NumElements(), weights->flat<float>().data(),
                  &runtime);
  }

 private:
  // Packs a mask that is not that of the step before. Nobody writes into the
  // buffer of a tensor that is held here, so the same buffer is the same mask.
  void Pack(const Tensor& mask) {
    if (mask_.SharesBufferWith(mask) && mask_.shape() == mask.shape()) return;
    kept_ = PackedMask(Floats(mask), mask.NumElements());
    mask_ = mask;
  }

  mutex mutex_;
  Tensor mask_ TF_GUARDED_BY(mutex_);
  std::vector<uint32_t> kept_ TF_GUARDED_BY(mutex_);
};

REGISTER_OP("TfPaiZeroPruned")
    .Input("variable: resource")
    .Input("mask: float32")
    .SetIsStateful()
    .SetShapeFn([](InferenceContext*) { return OkStatus(); });
REGISTER_KERNEL_BUILDER(Name("TfPaiZeroPruned").Device(DEVICE_CPU),
                        ZeroPrunedOp);

}  // namespace

}  // namespace tf_pai

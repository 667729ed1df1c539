// The TensorFlow ops that count.

#include "counting.h"
#include "op_common.h"

namespace tf_pai {

namespace {

class CountNonzeroOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    const Tensor& values = context->input(0);
    const int64_t n = values.NumElements();
    Tensor* count;
    OP_REQUIRES_OK(context, context->allocate_output(0, {}, &count));
    count->scalar<int64_t>()() =
        values.dtype() == DT_BOOL
            ? CountNonzero(
                  reinterpret_cast<const uint8_t*>(values.flat<bool>().data()),
                  n)
            : CountNonzero(Floats(values), n);
  }
};

class AllFiniteOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    const Tensor& values = context->input(0);
    Tensor* all;
    OP_REQUIRES_OK(context, context->allocate_output(0, {}, &all));
    all->scalar<bool>()() = AllFinite(Floats(values), values.NumElements());
  }
};

REGISTER_OP("TfPaiCountNonzero")
    .Input("values: T")
    .Attr("T: {bool, float}")
    .Output("count: int64")
    .SetShapeFn(shape_inference::ScalarShape);
REGISTER_KERNEL_BUILDER(Name("TfPaiCountNonzero").Device(DEVICE_CPU),
                        CountNonzeroOp);

REGISTER_OP("TfPaiAllFinite")
    .Input("values: float32")
    .Output("all: bool")
    .SetShapeFn(shape_inference::ScalarShape);
REGISTER_KERNEL_BUILDER(Name("TfPaiAllFinite").Device(DEVICE_CPU), AllFiniteOp);

}  // namespace

}  // namespace tf_pai

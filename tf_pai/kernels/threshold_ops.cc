// The TensorFlow ops that find the highest scores.

#include "largest.h"
#include "op_common.h"
#include "threshold.h"

namespace tf_pai {

namespace {

class HighestNearOp : public OpKernel {
 public:
  explicit HighestNearOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("magnitude", &magnitude_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& scores = context->input(0);
    const Tensor& count = context->input(1);
    const Tensor& guess = context->input(2);
    OP_REQUIRES(context, count.dims() == 0,
                errors::InvalidArgument("count must be a number"));
    OP_REQUIRES(context, guess.dims() == 1 && guess.dim_size(0) == 2,
                errors::InvalidArgument("guess must be low and high"));
    const int64_t n = scores.NumElements(), kept = count.scalar<int32>()();
    OP_REQUIRES(
        context, kept >= 0 && kept <= n,
        errors::InvalidArgument("count must be from 0 to ", n, ", not ", kept));
    Tensor *mask, *next;
    OP_REQUIRES_OK(context, context->allocate_output(0, scores.shape(), &mask));
    OP_REQUIRES_OK(context, context->allocate_output(1, guess.shape(), &next));
    RunHighestNear({Floats(scores), n, kept, magnitude_, Floats(guess),
                    mask->flat<float>().data(), next->flat<float>().data()});
  }

 private:
  bool magnitude_;
};

class LargestOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    const Tensor& scores = context->input(0);
    const Tensor& among = context->input(1);
    const Tensor& count = context->input(2);
    OP_REQUIRES(context, among.shape() == scores.shape(),
                errors::InvalidArgument("among must have the scores' shape"));
    OP_REQUIRES(context, count.dims() == 0,
                errors::InvalidArgument("count must be a number"));
    const int64_t n = scores.NumElements(), marked = count.scalar<int32>()();
    OP_REQUIRES(
        context, marked >= 0,
        errors::InvalidArgument("count must not be negative, as is ", marked));
    Tensor* mask;
    OP_REQUIRES_OK(context, context->allocate_output(0, scores.shape(), &mask));
    RunLargest({Floats(scores),
                reinterpret_cast<const uint8_t*>(among.flat<bool>().data()), n,
                marked, reinterpret_cast<uint8_t*>(mask->flat<bool>().data())});
  }
};

REGISTER_OP("TfPaiLargest")
    .Input("scores: float32")
    .Input("among: bool")
    .Input("count: int32")
    .Output("mask: bool")
    .SetShapeFn(shape_inference::UnchangedShape);
REGISTER_KERNEL_BUILDER(Name("TfPaiLargest").Device(DEVICE_CPU), LargestOp);

REGISTER_OP("TfPaiHighestNear")
    .Input("scores: float32")
    .Input("count: int32")
    .Input("guess: float32")
    .Attr("magnitude: bool")
    .Output("mask: float32")
    .Output("next: float32")
    .SetShapeFn([](InferenceContext* c) {
      c->set_output(0, c->input(0));
      c->set_output(1, c->input(2));
      return OkStatus();
    });
REGISTER_KERNEL_BUILDER(Name("TfPaiHighestNear").Device(DEVICE_CPU),
                        HighestNearOp);

}  // namespace

}  // namespace tf_pai

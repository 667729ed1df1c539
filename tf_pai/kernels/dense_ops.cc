// The TensorFlow ops of the sparse product, and of its gradient: shapes,
// checks, outputs. The work is in dense_forward.cc and dense_backward.cc.

#include "dense.h"
#include "op_common.h"

namespace tf_pai {

namespace {

// Floats per vector of the instruction set in use.
class LanesOp : public OpKernel {
 public:
  using OpKernel::OpKernel;
  void Compute(OpKernelContext* context) override {
    Tensor* lanes;
    OP_REQUIRES_OK(context, context->allocate_output(0, {}, &lanes));
    lanes->scalar<int32>()() = WidestLanes();
  }
};

REGISTER_OP("TfPaiLanes")
    .Output("lanes: int32")
    .SetShapeFn(shape_inference::ScalarShape);
REGISTER_KERNEL_BUILDER(Name("TfPaiLanes").Device(DEVICE_CPU), LanesOp);

class SparseMatmulOp : public OpKernel {
 public:
  explicit SparseMatmulOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("panels", &panels_));
    OP_REQUIRES_OK(context, context->GetAttr("relu", &relu_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& x = context->input(0);
    const Tensor& values = context->input(1);
    const Tensor& bias = context->input(2);
    const Tensor& col_ptr = context->input(3);
    const Tensor& row_idx = context->input(4);
    const Tensor& perm = context->input(5);
    OP_REQUIRES(context, x.dims() >= 1,
                errors::InvalidArgument("x must have rank >= 1"));
    OP_REQUIRES_OK(context,
                   CheckCsc(values, bias, col_ptr, row_idx, perm, panels_));
    const int64_t inputs = x.dim_size(x.dims() - 1);
    OP_REQUIRES_OK(context, CheckRows(context->input(6), inputs));
    const int64_t outputs = (col_ptr.NumElements() - 1) / panels_;
    TensorShape shape = x.shape();
    shape.set_dim(x.dims() - 1, outputs);
    Tensor* y;
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &y));
    int64_t batch = 1;
    for (int i = 0; i + 1 < x.dims(); ++i) batch *= x.dim_size(i);
    OpRuntime runtime(context);
    OP_REQUIRES_OK(context,
                   Checked(RunDenseForward(
                       {batch, inputs, outputs, panels_, values.NumElements(),
                        Floats(x), Floats(values), Floats(bias), relu_,
                        col_ptr.flat<int32>().data(), IndicesOf(row_idx),
                        perm.flat<int32>().data(), y->flat<float>().data()},
                       &runtime)));
  }

 private:
  bool relu_;
  int64_t panels_;
};

class SparseMatmulGradOp : public OpKernel {
 public:
  explicit SparseMatmulGradOp(OpKernelConstruction* context)
      : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("relu", &relu_));
    OP_REQUIRES_OK(context, context->GetAttr("use_bias", &use_bias_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& x = context->input(0);
    const Tensor& dy = context->input(1);
    const Tensor& y = context->input(2);
    const Tensor& values = context->input(3);
    const Tensor& row_ptr = context->input(4);
    const Tensor& col_idx = context->input(5);
    OP_REQUIRES(context, x.dims() >= 1 && dy.dims() == x.dims(),
                errors::InvalidArgument("x and dy must have the same rank"));
    const int64_t inputs = x.dim_size(x.dims() - 1);
    const int64_t outputs = dy.dim_size(dy.dims() - 1);
    int64_t batch = 1;
    for (int i = 0; i + 1 < x.dims(); ++i) batch *= x.dim_size(i);
    OP_REQUIRES(context, dy.NumElements() == batch * outputs,
                errors::InvalidArgument("x and dy must have the same rows"));
    OP_REQUIRES(context, !relu_ || y.shape() == dy.shape(),
                errors::InvalidArgument("y and dy must have the same shape"));
    OP_REQUIRES_OK(context, CheckLengths(values, row_ptr, col_idx, inputs));
    Tensor *dx, *dvalues, *dbias;
    // Nobody asks for the input gradient of a model's first layer.
    const bool need_dx = context->output_required(0);
    OP_REQUIRES_OK(context,
                   context->allocate_output(
                       0, need_dx ? x.shape() : TensorShape({0}), &dx));
    OP_REQUIRES_OK(context,
                   context->allocate_output(1, values.shape(), &dvalues));
    OP_REQUIRES_OK(context,
                   context->allocate_output(
                       2, TensorShape({use_bias_ ? outputs : 0}), &dbias));
    OpRuntime runtime(context);
    OP_REQUIRES_OK(context,
                   Checked(RunDenseBackward(
                       {batch, inputs, outputs, values.NumElements(), Floats(x),
                        Floats(dy), relu_ ? Floats(y) : nullptr, Floats(values),
                        row_ptr.flat<int32>().data(), IndicesOf(col_idx),
                        need_dx ? dx->flat<float>().data() : nullptr,
                        dvalues->flat<float>().data(),
                        use_bias_ ? dbias->flat<float>().data() : nullptr},
                       &runtime)));
  }

 private:
  bool relu_, use_bias_;
};

Status MatmulShape(InferenceContext* c) {
  ShapeHandle x, y;
  DimensionHandle outputs;
  TF_RETURN_IF_ERROR(c->WithRankAtLeast(c->input(0), 1, &x));
  TF_RETURN_IF_ERROR(OutputsDim(c, &outputs));
  TF_RETURN_IF_ERROR(c->ReplaceDim(x, -1, outputs, &y));
  c->set_output(0, y);
  return OkStatus();
}

REGISTER_OP("TfPaiSparseMatmul")
    .Input("x: float")
    .Input("values: float")
    .Input("bias: float")
    .Input("col_ptr: int32")
    .Input("row_idx: Tindex")
    .Input("perm: int32")
    .Input("row_ptr: int32")   // its length is read; else for the gradient
    .Input("col_idx: Tindex")  // not read: for the gradient
    .Attr("Tindex: {uint16, int32}")
    .Attr("relu: bool = false")
    .Attr("use_bias: bool = true")  // for the gradient
    .Attr("panels: int >= 1 = 1")
    .Output("y: float")
    .SetShapeFn(MatmulShape);

REGISTER_OP("TfPaiSparseMatmulGrad")
    .Input("x: float")
    .Input("dy: float")
    .Input("y: float")
    .Input("values: float")
    .Input("row_ptr: int32")
    .Input("col_idx: Tindex")
    .Attr("Tindex: {uint16, int32}")
    .Attr("relu: bool = false")
    .Attr("use_bias: bool = true")
    .Output("dx: float")
    .Output("dvalues: float")
    .Output("dbias: float")
    .SetShapeFn(GradShape);

REGISTER_KERNEL_BUILDER(Name("TfPaiSparseMatmul").Device(DEVICE_CPU),
                        SparseMatmulOp);
REGISTER_KERNEL_BUILDER(Name("TfPaiSparseMatmulGrad").Device(DEVICE_CPU),
                        SparseMatmulGradOp);

}  // namespace

}  // namespace tf_pai

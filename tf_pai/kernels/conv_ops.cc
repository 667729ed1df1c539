// The TensorFlow ops of the sparse convolution, and of its gradient: shapes,
// checks, outputs. The work is in conv_forward.cc and conv_backward.cc.

#include <utility>

#include "conv.h"
#include "op_common.h"
#include "tensorflow/core/util/padding.h"

namespace tf_pai {

namespace {

// Output length and padding before the first pixel, along one axis.
std::pair<int, int> Window(int64_t length, int kernel, int stride,
                           Padding padding) {
  if (padding == Padding::VALID) {
    return {static_cast<int>(
                std::max<int64_t>(0, (length - kernel + stride) / stride)),
            0};
  }
  const int64_t out = (length + stride - 1) / stride;
  const int64_t total =
      std::max<int64_t>(0, (out - 1) * stride + kernel - length);
  return {static_cast<int>(out), static_cast<int>(total / 2)};
}

// What both ops know from their attributes.
struct ConvAttributes {
  int kernel_height, kernel_width;
  int stride_y, stride_x;
  bool relu;
  Padding padding;

  Status Read(OpKernelConstruction* context) {
    std::vector<int32> kernel, strides;
    TF_RETURN_IF_ERROR(context->GetAttr("kernel_size", &kernel));
    TF_RETURN_IF_ERROR(context->GetAttr("strides", &strides));
    TF_RETURN_IF_ERROR(context->GetAttr("padding", &padding));
    TF_RETURN_IF_ERROR(context->GetAttr("relu", &relu));
    if (kernel.size() != 2 || strides.size() != 2 ||
        std::min({kernel[0], kernel[1], strides[0], strides[1]}) < 1) {
      return errors::InvalidArgument(
          "kernel_size and strides must be two positive integers");
    }
    kernel_height = kernel[0];
    kernel_width = kernel[1];
    stride_y = strides[0];
    stride_x = strides[1];
    return OkStatus();
  }

  Status Shape(const Tensor& x, int64_t out_channels, ConvShape* shape) const {
    if (x.dims() != 4) {
      return errors::InvalidArgument("x must have rank 4 (NHWC), not ",
                                     x.dims());
    }
    const auto [out_height, top] =
        Window(x.dim_size(1), kernel_height, stride_y, padding);
    const auto [out_width, left] =
        Window(x.dim_size(2), kernel_width, stride_x, padding);
    *shape = {x.dim_size(0),
              static_cast<int>(x.dim_size(1)),
              static_cast<int>(x.dim_size(2)),
              static_cast<int>(x.dim_size(3)),
              static_cast<int>(out_channels),
              kernel_height,
              kernel_width,
              stride_y,
              stride_x,
              top,
              left,
              out_height,
              out_width};
    return OkStatus();
  }
};

class SparseConvOp : public OpKernel {
 public:
  explicit SparseConvOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("panels", &panels_));
    OP_REQUIRES_OK(context, attributes_.Read(context));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& x = context->input(0);
    const Tensor& values = context->input(1);
    const Tensor& bias = context->input(2);
    const Tensor& col_ptr = context->input(3);
    const Tensor& row_idx = context->input(4);
    const Tensor& perm = context->input(5);
    OP_REQUIRES_OK(context,
                   CheckCsc(values, bias, col_ptr, row_idx, perm, panels_));
    ConvShape shape;
    OP_REQUIRES_OK(
        context,
        attributes_.Shape(x, (col_ptr.NumElements() - 1) / panels_, &shape));
    OP_REQUIRES_OK(context,
                   CheckRows(context->input(6), shape.matrix_rows()));
    Tensor* y;
    OP_REQUIRES_OK(context,
                   context->allocate_output(
                       0,
                       TensorShape({shape.batch, shape.out_height,
                                    shape.out_width, shape.out_channels}),
                       &y));
    OpRuntime runtime(context);
    OP_REQUIRES_OK(context,
                   Checked(RunConvForward(
                       {shape, panels_, values.NumElements(), Floats(x),
                        Floats(values), Floats(bias), attributes_.relu,
                        col_ptr.flat<int32>().data(), IndicesOf(row_idx),
                        perm.flat<int32>().data(), y->flat<float>().data()},
                       &runtime)));
  }

 private:
  ConvAttributes attributes_;
  int64_t panels_;
};

class SparseConvGradOp : public OpKernel {
 public:
  explicit SparseConvGradOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, attributes_.Read(context));
    OP_REQUIRES_OK(context, context->GetAttr("use_bias", &use_bias_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& x = context->input(0);
    const Tensor& dy = context->input(1);
    const Tensor& y = context->input(2);
    const Tensor& values = context->input(3);
    const Tensor& row_ptr = context->input(4);
    const Tensor& col_idx = context->input(5);
    OP_REQUIRES(context, dy.dims() == 4,
                errors::InvalidArgument("dy must have rank 4 (NHWC)"));
    ConvShape shape;
    OP_REQUIRES_OK(context, attributes_.Shape(x, dy.dim_size(3), &shape));
    const TensorShape expected(
        {shape.batch, shape.out_height, shape.out_width, shape.out_channels});
    OP_REQUIRES(
        context, dy.shape() == expected,
        errors::InvalidArgument("dy must have shape ", expected.DebugString(),
                                ", not ", dy.shape().DebugString()));
    OP_REQUIRES(context, !attributes_.relu || y.shape() == dy.shape(),
                errors::InvalidArgument("y and dy must have the same shape"));
    OP_REQUIRES_OK(context,
                   CheckLengths(values, row_ptr, col_idx, shape.matrix_rows()));
    Tensor *dx, *dvalues, *dbias;
    const bool need_dx = context->output_required(0);
    OP_REQUIRES_OK(context,
                   context->allocate_output(
                       0, need_dx ? x.shape() : TensorShape({0}), &dx));
    OP_REQUIRES_OK(context,
                   context->allocate_output(1, values.shape(), &dvalues));
    OP_REQUIRES_OK(
        context,
        context->allocate_output(
            2, TensorShape({use_bias_ ? shape.out_channels : 0}), &dbias));
    OpRuntime runtime(context);
    OP_REQUIRES_OK(context,
                   Checked(RunConvBackward(
                       {shape, values.NumElements(), Floats(x), Floats(dy),
                        attributes_.relu ? Floats(y) : nullptr, Floats(values),
                        row_ptr.flat<int32>().data(), IndicesOf(col_idx),
                        need_dx ? dx->flat<float>().data() : nullptr,
                        dvalues->flat<float>().data(),
                        use_bias_ ? dbias->flat<float>().data() : nullptr},
                       &runtime)));
  }

 private:
  ConvAttributes attributes_;
  bool use_bias_;
};

Status ConvOutputShape(InferenceContext* c) {
  ShapeHandle x;
  DimensionHandle channels, size[2];
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 4, &x));
  TF_RETURN_IF_ERROR(OutputsDim(c, &channels));
  std::vector<int32> kernel, strides;
  Padding padding;
  TF_RETURN_IF_ERROR(c->GetAttr("kernel_size", &kernel));
  TF_RETURN_IF_ERROR(c->GetAttr("strides", &strides));
  TF_RETURN_IF_ERROR(c->GetAttr("padding", &padding));
  for (int axis = 0; axis < 2; ++axis) {
    TF_RETURN_IF_ERROR(shape_inference::GetWindowedOutputSizeFromDims(
        c, c->Dim(x, axis + 1), kernel[axis], strides[axis], padding,
        &size[axis]));
  }
  c->set_output(0, c->MakeShape({c->Dim(x, 0), size[0], size[1], channels}));
  return OkStatus();
}

REGISTER_OP("TfPaiSparseConv2D")
    .Input("x: float")
    .Input("values: float")
    .Input("bias: float")
    .Input("col_ptr: int32")
    .Input("row_idx: Tindex")
    .Input("perm: int32")
    .Input("row_ptr: int32")   // not read: for the gradient
    .Input("col_idx: Tindex")  // not read: for the gradient
    .Attr("Tindex: {uint16, int32}")
    .Attr("kernel_size: list(int)")
    .Attr("strides: list(int)")
    .Attr("padding: {'SAME', 'VALID'}")
    .Attr("relu: bool = false")
    .Attr("use_bias: bool = true")  // for the gradient
    .Attr("panels: int >= 1 = 1")
    .Output("y: float")
    .SetShapeFn(ConvOutputShape);

REGISTER_OP("TfPaiSparseConv2DGrad")
    .Input("x: float")
    .Input("dy: float")
    .Input("y: float")
    .Input("values: float")
    .Input("row_ptr: int32")
    .Input("col_idx: Tindex")
    .Attr("Tindex: {uint16, int32}")
    .Attr("kernel_size: list(int)")
    .Attr("strides: list(int)")
    .Attr("padding: {'SAME', 'VALID'}")
    .Attr("relu: bool = false")
    .Attr("use_bias: bool = true")
    .Output("dx: float")
    .Output("dvalues: float")
    .Output("dbias: float")
    .SetShapeFn(GradShape);

REGISTER_KERNEL_BUILDER(Name("TfPaiSparseConv2D").Device(DEVICE_CPU),
                        SparseConvOp);
REGISTER_KERNEL_BUILDER(Name("TfPaiSparseConv2DGrad").Device(DEVICE_CPU),
                        SparseConvGradOp);

}  // namespace

}  // namespace tf_pai

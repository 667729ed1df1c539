// The TensorFlow ops on the places of kept weights: what an update of them
// needs.

#include "op_common.h"
#include "places.h"
#include "structure.h"

namespace tf_pai {

namespace {

const int64_t* Longs(const Tensor& t) {
  return t.NumElements() == 0
             ? nullptr
             : reinterpret_cast<const int64_t*>(t.flat<int64_t>().data());
}

class FlatPositionsOp : public OpKernel {
 public:
  explicit FlatPositionsOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("cols", &cols_));
    OP_REQUIRES(context, cols_ >= 0 && cols_ <= INT32_MAX,
                errors::InvalidArgument("columns must fit 32 bits"));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& row_ptr = context->input(0);
    const Tensor& col_idx = context->input(1);
    OP_REQUIRES(
        context,
        row_ptr.dims() == 1 && row_ptr.NumElements() > 0 && col_idx.dims() == 1,
        errors::InvalidArgument("a structure has pointers and indices"));
    const int64_t rows = row_ptr.NumElements() - 1, nnz = col_idx.NumElements();
    const int32_t* pointers = row_ptr.flat<int32>().data();
    OpRuntime runtime(context);
    OP_REQUIRES_OK(
        context,
        Checked(Prepare({pointers, rows, IndicesOf(col_idx), cols_, nnz},
                        nullptr, KernelsFor(INT64_MAX), 1, &runtime)));
    Tensor* flat;
    OP_REQUIRES_OK(context,
                   context->allocate_output(0, col_idx.shape(), &flat));
    const FlatPositions positions = {pointers, rows, cols_,
                                     flat->flat<int64_t>().data()};
    if (col_idx.dtype() == DT_INT32) {
      RunFlatPositions(positions, col_idx.flat<int32>().data());
    } else {
      RunFlatPositions(positions, col_idx.flat<uint16>().data());
    }
  }

 private:
  int64_t cols_;
};

template <class Index>
class StructureOp : public OpKernel {
 public:
  explicit StructureOp(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("rows", &rows_));
    OP_REQUIRES_OK(context, context->GetAttr("cols", &cols_));
    OP_REQUIRES_OK(context, context->GetAttr("panels", &panels_));
    constexpr int64_t kLimit = std::numeric_limits<Index>::max();
    OP_REQUIRES(context,
                rows_ >= 0 && cols_ >= 0 && rows_ - 1 <= kLimit &&
                    cols_ - 1 <= kLimit && panels_ > 0,
                errors::InvalidArgument("rows and columns must fit the type"));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& flat = context->input(0);
    const int64_t nnz = flat.NumElements();
    OP_REQUIRES(context, flat.dims() == 1 && nnz <= INT32_MAX,
                errors::InvalidArgument("positions must be a vector"));
    Tensor *row_ptr, *col_idx, *col_ptr, *row_idx, *perm;
    const auto make = [&](int i, int64_t size, Tensor** tensor) {
      return context->allocate_output(i, TensorShape({size}), tensor);
    };
    OP_REQUIRES_OK(context, make(0, rows_ + 1, &row_ptr));
    OP_REQUIRES_OK(context, make(1, nnz, &col_idx));
    OP_REQUIRES_OK(context, make(2, panels_ * cols_ + 1, &col_ptr));
    OP_REQUIRES_OK(context, make(3, nnz, &row_idx));
    OP_REQUIRES_OK(context, make(4, nnz, &perm));
    const Orders<Index> orders = {rows_,
                                  cols_,
                                  panels_,
                                  row_ptr->flat<int32>().data(),
                                  col_idx->flat<Index>().data(),
                                  col_ptr->flat<int32>().data(),
                                  row_idx->flat<Index>().data(),
                                  perm->flat<int32>().data()};
    OP_REQUIRES_OK(context, Checked(FillRows(Longs(flat), nnz, orders)));
    FillColumns(orders);
  }

 private:
  int64_t rows_, cols_, panels_;
};

template <class T>
class PutOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    const Tensor& part = context->input(0);
    const Tensor& offset = context->input(1);
    const Tensor& flat = context->input(2);
    const Tensor& values = context->input(3);
    OP_REQUIRES(context,
                offset.dims() == 0 && flat.dims() == 1 &&
                    flat.shape() == values.shape(),
                errors::InvalidArgument(
                    "there must be an offset, and a value for each position"));
    const auto from = static_cast<int64_t>(offset.scalar<int64_t>()());
    OP_REQUIRES(context, from >= 0,
                errors::InvalidArgument("the offset must not be negative"));
    Tensor* out;
    OP_REQUIRES_OK(context, context->forward_input_or_allocate_output(
                                {0}, 0, part.shape(), &out));
    if (!out->SharesBufferWith(part)) {
      std::memcpy(out->data(), part.data(), part.TotalBytes());
    }
    if (flat.NumElements() == 0) return;
    Put(Longs(flat), values.flat<T>().data(), flat.NumElements(), from,
        out->flat<T>().data(), out->NumElements());
  }
};

class AddBitsOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    const Tensor& packed = context->input(0);
    const Tensor& flat = context->input(1);
    const int64_t bytes = packed.NumElements();
    Tensor *out, *count;
    OP_REQUIRES_OK(context, context->forward_input_or_allocate_output(
                                {0}, 0, packed.shape(), &out));
    OP_REQUIRES_OK(context, context->allocate_output(1, {}, &count));
    uint8_t* bits = out->flat<uint8>().data();
    if (!out->SharesBufferWith(packed)) {
      std::memcpy(bits, packed.flat<uint8>().data(), bytes);
    }
    OP_REQUIRES(
        context, SetBits(Longs(flat), flat.NumElements(), bits, bytes),
        errors::InvalidArgument("positions must be in [0, ", 8 * bytes, ")"));
    count->scalar<int64_t>()() = CountBits(bits, bytes);
  }
};

REGISTER_OP("TfPaiFlatPositions")
    .Input("row_ptr: int32")
    .Input("col_idx: T")
    .Attr("cols: int")
    .Attr("T: {uint16, int32}")
    .Output("flat: int64")
    .SetShapeFn([](InferenceContext* c) {
      c->set_output(0, c->input(1));
      return OkStatus();
    });
REGISTER_KERNEL_BUILDER(Name("TfPaiFlatPositions").Device(DEVICE_CPU),
                        FlatPositionsOp);

REGISTER_OP("TfPaiStructure")
    .Input("flat: int64")
    .Attr("rows: int")
    .Attr("cols: int")
    .Attr("panels: int")
    .Attr("T: {uint16, int32}")
    .Output("row_ptr: int32")
    .Output("col_idx: T")
    .Output("col_ptr: int32")
    .Output("row_idx: T")
    .Output("perm: int32")
    .SetShapeFn([](InferenceContext* c) {
      int64_t rows, cols, panels;
      TF_RETURN_IF_ERROR(c->GetAttr("rows", &rows));
      TF_RETURN_IF_ERROR(c->GetAttr("cols", &cols));
      TF_RETURN_IF_ERROR(c->GetAttr("panels", &panels));
      c->set_output(0, c->Vector(rows + 1));
      c->set_output(2, c->Vector(panels * cols + 1));
      for (int i : {1, 3, 4}) c->set_output(i, c->input(0));
      return OkStatus();
    });
REGISTER_KERNEL_BUILDER(
    Name("TfPaiStructure").Device(DEVICE_CPU).TypeConstraint<int32>("T"),
    StructureOp<int32>);
REGISTER_KERNEL_BUILDER(
    Name("TfPaiStructure").Device(DEVICE_CPU).TypeConstraint<uint16>("T"),
    StructureOp<uint16>);

REGISTER_OP("TfPaiPut")
    .Input("part: T")
    .Input("offset: int64")
    .Input("flat: int64")
    .Input("values: T")
    .Attr("T: {bool, float}")
    .Output("out: T")
    .SetShapeFn(shape_inference::UnchangedShape);
REGISTER_KERNEL_BUILDER(
    Name("TfPaiPut").Device(DEVICE_CPU).TypeConstraint<bool>("T"), PutOp<bool>);
REGISTER_KERNEL_BUILDER(
    Name("TfPaiPut").Device(DEVICE_CPU).TypeConstraint<float>("T"),
    PutOp<float>);

REGISTER_OP("TfPaiAddBits")
    .Input("packed: uint8")
    .Input("flat: int64")
    .Output("out: uint8")
    .Output("count: int64")
    .SetShapeFn([](InferenceContext* c) {
      c->set_output(0, c->input(0));
      c->set_output(1, c->Scalar());
      return OkStatus();
    });
REGISTER_KERNEL_BUILDER(Name("TfPaiAddBits").Device(DEVICE_CPU), AddBitsOp);

}  // namespace

}  // namespace tf_pai

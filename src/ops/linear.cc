#include "ops/linear.h"

#include "graph/control.h"

namespace continuo::ops {
namespace {

Precision precision(Step& step) {
  return step.target().exact_dots ? Precision::kHighest : Precision::kDefault;
}

// Up to so many rows the kernel is quicker than XLA's product of matrices on the CPUs measured
// (docs/performance.md): it reads the weight once and packs nothing.
constexpr int64_t kKernelRows = 24;
constexpr const char* kKernel = "continuo.linear";

bool kernel_takes(Step& step, Value rows, Value w, bool out_in) {
  return out_in && w.dtype() == DType::kF32 && rows.dim(0) <= kKernelRows &&
         step.target().has_kernel(kKernel);
}

}  // namespace

Value matmul(Step& step, Value x, Value w, bool out_in) {
  check(w.rank() == 2 && x.rank() >= 1 && x.dim(-1) == w.dim(out_in ? 1 : 0), "matmul",
        "wanted x:[...,in] and w:{}, got {} and {}", out_in ? "[out,in]" : "[in,out]", x.describe(),
        w.describe());
  // Flat rows: a plain matrix product is the form every backend has a fast path for.
  const Value rows = reshape(convert(x, w.dtype()), {-1, x.dim(-1)});
  const bool sums = out_in && rows.dim(0) == 1 && step.target().one_row_as_sums;
  const Value y =
      kernel_takes(step, rows, w, out_in)
          ? custom_call(kKernel, {rows, w}, {{DType::kF32, {rows.dim(0), w.dim(0)}}})[0]
      : sums ? expand_dims(reduce_sum(convert(w, DType::kF32) * convert(rows, DType::kF32), {1}), 0)
             : dot_general(rows, w, {{}, {}, {1}, {out_in ? 1 : 0}}, DType::kF32, precision(step));
  std::vector<int64_t> sizes = x.shape().dims();
  sizes.back() = y.dim(1);
  return reshape(y, Shape(sizes));
}

Value expert_matmul(Step& step, Value x, const ExpertMatrix& experts, Value index) {
  const Value all = experts.weight;
  check(all.rank() == 3 && x.rank() == 2 && x.dim(1) == experts.in, "expert_matmul",
        "wanted x:[n,in] and w:[E,..], in = {}, got {} and {}", experts.in, x.describe(),
        all.describe());
  if (kernel_takes(step, x, all, experts.out_in))
    return custom_call(kKernel, {x, all, index}, {{DType::kF32, {x.dim(0), experts.out}}})[0];
  const Value zero = constant(x.graph(), DType::kI32, 0);
  const Value one = dynamic_slice(all, {index, zero, zero}, {1, all.dim(1), all.dim(2)});
  return matmul(step, x, reshape(one, {all.dim(1), all.dim(2)}), experts.out_in);
}

Value linear_weight(Step& step, Value x, const std::string& tensor, int64_t out) {
  const int64_t in = x.dim(-1);
  const bool out_in = step.target().linear_out_in;
  const Shape shape = out_in ? Shape{out, in} : Shape{in, out};
  const Value w =
      step.weight(WeightSpec{tensor, step.target().weights, shape, {tensor}, {out, in}, !out_in});
  return matmul(step, x, w, out_in);
}

Value linear(Step& step, Value x, const std::string& name, int64_t out, Bias bias) {
  Value y = linear_weight(step, x, name + ".weight", out);
  const std::string bias_name = name + ".bias";
  if (bias == Bias::kYes || (bias == Bias::kIfPresent && step.has(bias_name)))
    y = y + step.weight(bias_name, {out});
  return y;
}

Value embedding(Step& step, const std::string& tensor, int64_t vocab, int64_t hidden) {
  const Value table = step.weight(tensor, {vocab, hidden}, step.target().weights);
  return convert(take_rows(table, step.tokens()), DType::kF32);
}

Value embedding_head(Step& step, Value x, const std::string& tensor, int64_t vocab) {
  const Value table = step.weight(tensor, {vocab, x.dim(-1)}, step.target().weights);
  return matmul(step, x, table, true);
}

ExpertMatrix expert_matrix(Step& step, const std::string& name,
                           const std::vector<std::string>& tensors, int64_t in, int64_t out) {
  const bool out_in = step.target().linear_out_in;
  const int64_t experts = static_cast<int64_t>(tensors.size());
  const Shape shape = out_in ? Shape{experts, out, in} : Shape{experts, in, out};
  return {step.weight(WeightSpec{name, step.target().weights, shape, tensors, {out, in}, !out_in}),
          in, out, out_in};
}

ExpertMatrix expert_matrix_stacked(Step& step, const std::string& tensor, int64_t experts,
                                   int64_t in, int64_t out, bool source_in_out) {
  const bool out_in = step.target().linear_out_in;
  const Shape source = source_in_out ? Shape{experts, in, out} : Shape{experts, out, in};
  const Shape shape = out_in ? Shape{experts, out, in} : Shape{experts, in, out};
  return {step.weight(WeightSpec{
              tensor, step.target().weights, shape, {tensor}, source, source_in_out == out_in}),
          in, out, out_in};
}

}  // namespace continuo::ops

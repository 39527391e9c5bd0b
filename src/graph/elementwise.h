// Operations element by element. Binary ones broadcast as numpy does: sizes are aligned at the
// end, and a size of 1 stretches. Both operands have one dtype; a float operand becomes a constant
// of the other's dtype.
#pragma once

#include <vector>

#include "graph/graph.h"

namespace continuo::graph {

// --- constants ---
// Scalar of any dtype. An integer dtype wants a whole number in its range: x * 0.5 of an i32 is a
// check failure, not x * 0.
Value constant(Graph& graph, DType dtype, double value);
Value fill(Graph& graph, DType dtype, Shape shape, double value);
Value constant_f32(Graph& graph, Shape shape, std::span<const float> values);
Value constant_i32(Graph& graph, Shape shape, std::span<const int32_t> values);
Value iota(Graph& graph, DType dtype, Shape shape, int64_t axis);  // 0, 1, 2 ... along `axis`

// --- unary ---
Value abs(Value x);
Value neg(Value x);
Value exp(Value x);
Value expm1(Value x);
Value log(Value x);
Value log1p(Value x);
Value sqrt(Value x);
Value rsqrt(Value x);
Value tanh(Value x);
Value sigmoid(Value x);
Value cos(Value x);
Value sin(Value x);
Value floor(Value x);
Value ceil(Value x);
Value sign(Value x);
Value erf(Value x);  // chlo.erf
Value logical_not(Value x);
Value softplus(Value x);  // log(1 + e^x), exact for large |x|
Value silu(Value x);      // x * sigmoid(x)
Value relu(Value x);
Value gelu(Value x);       // exact: x * Phi(x)
Value gelu_tanh(Value x);  // the tanh approximation
Value square(Value x);
Value convert(Value x, DType dtype);
Value bitcast(Value x, DType dtype);  // same byte size

// --- binary ---
Value add(Value x, Value y);
Value sub(Value x, Value y);
Value mul(Value x, Value y);
Value div(Value x, Value y);
Value maximum(Value x, Value y);
Value minimum(Value x, Value y);
Value power(Value x, Value y);
Value remainder(Value x, Value y);
Value logical_and(Value x, Value y);  // bitwise on integers
Value logical_or(Value x, Value y);
Value logical_xor(Value x, Value y);
Value shift_left(Value x, Value y);
Value shift_right(Value x, Value y);  // logical

enum class Compare { kEq, kNe, kLt, kLe, kGt, kGe };
Value compare(Value x, Compare how, Value y);  // -> pred
Value compare(Value x, Compare how, double y);
Value is_finite(Value x);  // -> pred; false for NaN and the infinities
Value select(Value pred, Value on_true, Value on_false);  // broadcasts all three
Value clamp(Value x, double low, double high);

inline Value operator+(Value x, Value y) { return add(x, y); }
inline Value operator-(Value x, Value y) { return sub(x, y); }
inline Value operator*(Value x, Value y) { return mul(x, y); }
inline Value operator/(Value x, Value y) { return div(x, y); }
Value operator+(Value x, double y);
Value operator-(Value x, double y);
Value operator*(Value x, double y);
Value operator/(Value x, double y);
Value operator-(double x, Value y);
inline Value operator-(Value x) { return neg(x); }

// Stretches x to `shape` as numpy does.
Value broadcast_to(Value x, const Shape& shape);
// The shape both broadcast to; a check failure naming `op` where they cannot.
Shape broadcast_shape(const char* op, const Shape& x, const Shape& y);

}  // namespace continuo::graph

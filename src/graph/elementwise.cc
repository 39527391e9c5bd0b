#include "graph/elementwise.h"

#include <cmath>
#include <limits>

#include "base/half.h"

namespace continuo::graph {
namespace {

bool is_signed(DType dtype) {
  return is_float(dtype) || dtype == DType::kI8 || dtype == DType::kI16 || dtype == DType::kI32 ||
         dtype == DType::kI64;
}

// A double that an integer dtype can hold; it never loses a fraction unseen (x * 0.5 of an i32).
std::string integer_literal(DType dtype, double value) {
  const int bits = static_cast<int>(8 * byte_size(dtype)) - (is_signed(dtype) ? 1 : 0);
  const double limit = std::ldexp(1.0, bits), lowest = is_signed(dtype) ? -limit : 0;
  check(value == std::floor(value) && value >= lowest && value < limit, "constant",
        "wanted a value of {}, got {}", name(dtype), value);
  return value < 0 ? fmt::format("{}", static_cast<int64_t>(value))
                   : fmt::format("{}", static_cast<uint64_t>(value));
}

// MLIR wants a decimal point in a float literal; infinities and NaN are written as bits.
std::string literal(DType dtype, double value) {
  if (dtype == DType::kPred) return value != 0 ? "true" : "false";
  if (is_integer(dtype)) return integer_literal(dtype, value);
  if (std::isfinite(value)) return fmt::format("{:.17e}", value);
  const bool negative = std::signbit(value);
  if (dtype == DType::kF64)
    return std::isnan(value) ? "0x7FF8000000000000"
                             : (negative ? "0xFFF0000000000000" : "0x7FF0000000000000");
  if (dtype == DType::kF32)
    return std::isnan(value) ? "0x7FC00000" : (negative ? "0xFF800000" : "0x7F800000");
  if (dtype == DType::kBF16) return std::isnan(value) ? "0x7FC0" : (negative ? "0xFF80" : "0x7F80");
  return std::isnan(value) ? "0x7E00" : (negative ? "0xFC00" : "0x7C00");
}

std::string hex_blob(std::span<const std::byte> bytes) {
  std::string text = "\"0x";
  for (std::byte byte : bytes) text += fmt::format("{:02X}", static_cast<unsigned>(byte));
  return text + "\"";
}

Value dense(Graph& graph, DType dtype, Shape shape, std::span<const std::byte> bytes) {
  check(static_cast<size_t>(shape.elements()) * byte_size(dtype) == bytes.size(), "constant",
        "shape {} of {} wants {} bytes, got {}", shape, name(dtype),
        static_cast<size_t>(shape.elements()) * byte_size(dtype), bytes.size());
  return graph.constant(bytes.empty() ? "" : hex_blob(bytes), dtype, std::move(shape));
}

enum class Wants { kFloat, kNumber, kSigned, kBits };

void check_kind(const char* op, Value x, Wants wants) {
  const DType dtype = x.dtype();
  const char* text = wants == Wants::kFloat    ? "floating point"
                     : wants == Wants::kNumber ? "numbers"
                     : wants == Wants::kSigned ? "signed numbers"
                                               : "integers or i1";
  const bool fits = (wants == Wants::kFloat && is_float(dtype)) ||
                    (wants == Wants::kNumber && dtype != DType::kPred) ||
                    (wants == Wants::kSigned && is_signed(dtype)) ||
                    (wants == Wants::kBits && !is_float(dtype));
  check(fits, op, "wanted {}, got {}", text, x.describe());
}

Value unary(const char* op, Value x, Wants wants = Wants::kFloat,
            const char* dialect = "stablehlo") {
  check_kind(op, x, wants);
  Graph& graph = x.graph();
  const std::string type = x.type().str();
  // chlo prints its operand and result types apart.
  const std::string types =
      std::string(dialect) == "chlo" ? fmt::format("{} -> {}", type, type) : type;
  return graph.emit(fmt::format("{}.{} {} : {}", dialect, op, graph.ref(x), types), x.dtype(),
                    x.shape());
}

Value binary(const char* op, Value x, Value y, Wants wants = Wants::kNumber) {
  Graph& graph = graph_of(op, std::vector<Value>{x, y});
  check_kind(op, x, wants);
  check(x.dtype() == y.dtype(), op, "wanted one dtype, got {} and {}", x.describe(), y.describe());
  const Shape shape = broadcast_shape(op, x.shape(), y.shape());
  const Value a = broadcast_to(x, shape), b = broadcast_to(y, shape);
  return graph.emit(
      fmt::format("stablehlo.{} {}, {} : {}", op, graph.ref(a), graph.ref(b), a.type().str()),
      x.dtype(), shape);
}

Value like(Value x, double value) { return constant(x.graph(), x.dtype(), value); }

}  // namespace

Value constant(Graph& graph, DType dtype, double value) { return fill(graph, dtype, {}, value); }

Value fill(Graph& graph, DType dtype, Shape shape, double value) {
  return graph.constant(literal(dtype, value), dtype, std::move(shape));
}

Value constant_f32(Graph& graph, Shape shape, std::span<const float> values) {
  return dense(graph, DType::kF32, std::move(shape), std::as_bytes(values));
}

Value constant_i32(Graph& graph, Shape shape, std::span<const int32_t> values) {
  return dense(graph, DType::kI32, std::move(shape), std::as_bytes(values));
}

Value iota(Graph& graph, DType dtype, Shape shape, int64_t axis) {
  check(axis >= 0 && axis < shape.rank(), "iota", "axis {} outside shape {}", axis, shape);
  check(dtype != DType::kPred, "iota", "wanted numbers, got {}", name(dtype));
  const Type type{dtype, shape};
  return graph.emit(fmt::format("stablehlo.iota dim = {} : {}", axis, type.str()), dtype,
                    std::move(shape));
}

Value abs(Value x) { return unary("abs", x, Wants::kSigned); }
Value neg(Value x) { return unary("negate", x, Wants::kNumber); }
Value exp(Value x) { return unary("exponential", x); }
Value expm1(Value x) { return unary("exponential_minus_one", x); }
Value log(Value x) { return unary("log", x); }
Value log1p(Value x) { return unary("log_plus_one", x); }
Value sqrt(Value x) { return unary("sqrt", x); }
Value rsqrt(Value x) { return unary("rsqrt", x); }
Value tanh(Value x) { return unary("tanh", x); }
Value sigmoid(Value x) { return unary("logistic", x); }
Value cos(Value x) { return unary("cosine", x); }
Value sin(Value x) { return unary("sine", x); }
Value floor(Value x) { return unary("floor", x); }
Value ceil(Value x) { return unary("ceil", x); }
Value sign(Value x) { return unary("sign", x, Wants::kSigned); }
Value erf(Value x) { return unary("erf", x, Wants::kFloat, "chlo"); }
Value logical_not(Value x) { return unary("not", x, Wants::kBits); }

// max(x,0) + log1p(exp(-|x|)): neither term overflows.
Value softplus(Value x) { return maximum(x, like(x, 0)) + log1p(exp(-abs(x))); }
Value silu(Value x) { return x * sigmoid(x); }
Value relu(Value x) { return maximum(x, like(x, 0)); }
Value gelu(Value x) { return x * 0.5 * (erf(x * M_SQRT1_2) + 1.0); }
Value gelu_tanh(Value x) {
  const double scale = std::sqrt(2.0 / M_PI);
  return x * 0.5 * (tanh((x + x * x * x * 0.044715) * scale) + 1.0);
}
Value square(Value x) { return x * x; }

Value convert(Value x, DType dtype) {
  if (x.dtype() == dtype) return x;
  Graph& graph = x.graph();
  const Type type{dtype, x.shape()};
  return graph.emit(
      fmt::format("stablehlo.convert {} : ({}) -> {}", graph.ref(x), x.type().str(), type.str()),
      dtype, x.shape());
}

Value bitcast(Value x, DType dtype) {
  check(byte_size(x.dtype()) == byte_size(dtype), "bitcast_convert",
        "wanted a dtype of the same size, got {} to {}", x.describe(), name(dtype));
  Graph& graph = x.graph();
  const Type type{dtype, x.shape()};
  return graph.emit(fmt::format("stablehlo.bitcast_convert {} : ({}) -> {}", graph.ref(x),
                                x.type().str(), type.str()),
                    dtype, x.shape());
}

Value add(Value x, Value y) { return binary("add", x, y); }
Value sub(Value x, Value y) { return binary("subtract", x, y); }
Value mul(Value x, Value y) { return binary("multiply", x, y); }
Value div(Value x, Value y) { return binary("divide", x, y); }
Value maximum(Value x, Value y) { return binary("maximum", x, y); }
Value minimum(Value x, Value y) { return binary("minimum", x, y); }
Value power(Value x, Value y) { return binary("power", x, y); }
Value remainder(Value x, Value y) { return binary("remainder", x, y); }
Value logical_and(Value x, Value y) { return binary("and", x, y, Wants::kBits); }
Value logical_or(Value x, Value y) { return binary("or", x, y, Wants::kBits); }
Value logical_xor(Value x, Value y) { return binary("xor", x, y, Wants::kBits); }
Value shift_left(Value x, Value y) { return binary("shift_left", x, y, Wants::kBits); }
Value shift_right(Value x, Value y) { return binary("shift_right_logical", x, y, Wants::kBits); }

Value operator+(Value x, double y) { return add(x, like(x, y)); }
Value operator-(Value x, double y) { return sub(x, like(x, y)); }
Value operator*(Value x, double y) { return mul(x, like(x, y)); }
Value operator/(Value x, double y) { return div(x, like(x, y)); }
Value operator-(double x, Value y) { return sub(like(y, x), y); }

Value compare(Value x, Compare how, Value y) {
  Graph& graph = graph_of("compare", std::vector<Value>{x, y});
  check(x.dtype() == y.dtype(), "compare", "wanted one dtype, got {} and {}", x.describe(),
        y.describe());
  const Shape shape = broadcast_shape("compare", x.shape(), y.shape());
  const Value a = broadcast_to(x, shape), b = broadcast_to(y, shape);
  static constexpr const char* kNames[] = {"EQ", "NE", "LT", "LE", "GT", "GE"};
  const DType dtype = x.dtype();
  const bool is_unsigned = dtype == DType::kPred || dtype == DType::kU8 || dtype == DType::kU16 ||
                           dtype == DType::kU32 || dtype == DType::kU64;
  const char* kind = is_float(dtype) ? "FLOAT" : is_unsigned ? "UNSIGNED" : "SIGNED";
  return graph.emit(fmt::format("stablehlo.compare {}, {}, {}, {} : ({}, {}) -> {}",
                                kNames[static_cast<int>(how)], graph.ref(a), graph.ref(b), kind,
                                a.type().str(), b.type().str(), Type{DType::kPred, shape}.str()),
                    DType::kPred, shape);
}

Value compare(Value x, Compare how, double y) { return compare(x, how, like(x, y)); }

Value is_finite(Value x) {
  return compare(abs(x), Compare::kLt,
                 constant(x.graph(), x.dtype(), std::numeric_limits<double>::infinity()));
}

Value select(Value pred, Value on_true, Value on_false) {
  Graph& graph = graph_of("select", std::vector<Value>{pred, on_true, on_false});
  check(pred.dtype() == DType::kPred, "select", "wanted a pred of i1, got {}", pred.describe());
  check(on_true.dtype() == on_false.dtype(), "select", "wanted one dtype, got {} and {}",
        on_true.describe(), on_false.describe());
  Shape shape = broadcast_shape("select", on_true.shape(), on_false.shape());
  shape = broadcast_shape("select", shape, pred.shape());
  const Value p = broadcast_to(pred, shape), a = broadcast_to(on_true, shape),
              b = broadcast_to(on_false, shape);
  return graph.emit(fmt::format("stablehlo.select {}, {}, {} : {}, {}", graph.ref(p), graph.ref(a),
                                graph.ref(b), p.type().str(), a.type().str()),
                    a.dtype(), shape);
}

Value clamp(Value x, double low, double high) {
  check(low <= high, "clamp", "wanted low <= high, got {} and {}", low, high);
  Graph& graph = x.graph();
  const Value a = like(x, low), b = like(x, high);
  return graph.emit(
      fmt::format("stablehlo.clamp {}, {}, {} : ({}, {}, {}) -> {}", graph.ref(a), graph.ref(x),
                  graph.ref(b), a.type().str(), x.type().str(), b.type().str(), x.type().str()),
      x.dtype(), x.shape());
}

Shape broadcast_shape(const char* op, const Shape& x, const Shape& y) {
  const int64_t rank = std::max(x.rank(), y.rank());
  std::vector<int64_t> dims(static_cast<size_t>(rank));
  for (int64_t i = 0; i < rank; ++i) {
    const int64_t a = i < rank - x.rank() ? 1 : x[i - (rank - x.rank())];
    const int64_t b = i < rank - y.rank() ? 1 : y[i - (rank - y.rank())];
    check(a == b || a == 1 || b == 1, op, "shapes do not broadcast: {} and {}", x, y);
    dims[static_cast<size_t>(i)] = a == 1 ? b : a;
  }
  return Shape(std::move(dims));
}

Value broadcast_to(Value x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const int64_t offset = shape.rank() - x.rank();
  check(offset >= 0, "broadcast", "cannot stretch {} to {}", x.describe(), shape);
  // A size of 1 is dropped by a reshape first: StableHLO would stretch it too, but XLA fuses this
  // form better, and IREE wants it.
  std::vector<int64_t> dims, kept;
  for (int64_t i = 0; i < x.rank(); ++i) {
    const int64_t size = x.dim(i), wanted = shape[i + offset];
    check(size == wanted || size == 1, "broadcast", "cannot stretch {} to {}", x.describe(), shape);
    if (size == 1 && wanted != 1) continue;
    dims.push_back(i + offset);
    kept.push_back(size);
  }
  Graph& graph = x.graph();
  const Shape reduced{kept};
  Value source = x;
  if (reduced != x.shape())
    source = graph.emit(fmt::format("stablehlo.reshape {} : ({}) -> {}", graph.ref(x),
                                    x.type().str(), Type{x.dtype(), reduced}.str()),
                        x.dtype(), reduced);
  return graph.emit(
      fmt::format("stablehlo.broadcast_in_dim {}, dims = [{}] : ({}) -> {}", graph.ref(source),
                  list(dims), source.type().str(), Type{x.dtype(), shape}.str()),
      x.dtype(), shape);
}

}  // namespace continuo::graph

// Products of arrays.
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"

namespace continuo::graph {

enum class Precision { kDefault, kHighest };

struct DotDims {
  std::vector<int64_t> lhs_batch, rhs_batch, lhs_contract, rhs_contract;
};

// stablehlo.dot_general: result dimensions are batch, then lhs's free ones, then rhs's. Operands
// have one dtype; the sum is in `result` (float32 for bf16 operands).
Value dot_general(Value lhs, Value rhs, const DotDims& dims, DType result,
                  Precision precision = Precision::kHighest);

// einsum("rthd,rshd->rhts", q, k): two operands, one letter a dimension, each letter once an
// operand. Letters in both operands and the result are batch; in both but not the result, summed.
Value einsum(const std::string& spec, Value lhs, Value rhs, DType result = DType::kF32,
             Precision precision = Precision::kHighest);

}  // namespace continuo::graph

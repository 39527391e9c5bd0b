#include "graph/contract.h"

#include <algorithm>

#include "graph/shaping.h"

namespace continuo::graph {
namespace {

bool contains(const std::vector<int64_t>& numbers, int64_t number) {
  return std::find(numbers.begin(), numbers.end(), number) != numbers.end();
}

void check_pairs(const char* what, Value lhs, Value rhs, const std::vector<int64_t>& left,
                 const std::vector<int64_t>& right) {
  check(left.size() == right.size(), "dot_general", "{}: wanted pairs, got [{}] and [{}]", what,
        list(left), list(right));
  for (size_t i = 0; i < left.size(); ++i) {
    check(left[i] >= 0 && left[i] < lhs.rank() && right[i] >= 0 && right[i] < rhs.rank(),
          "dot_general", "{}: dimensions [{}] and [{}] outside {} and {}", what, list(left),
          list(right), lhs.describe(), rhs.describe());
    check(lhs.dim(left[i]) == rhs.dim(right[i]), "dot_general",
          "{}: sizes differ: {} dimension {}, {} dimension {}", what, lhs.describe(), left[i],
          rhs.describe(), right[i]);
  }
}

// No dimension is batch and contracting, or either twice.
void check_apart(Value operand, std::vector<int64_t> dims, const std::vector<int64_t>& more) {
  dims.insert(dims.end(), more.begin(), more.end());
  std::sort(dims.begin(), dims.end());
  check(std::adjacent_find(dims.begin(), dims.end()) == dims.end(), "dot_general",
        "wanted each dimension of {} once, got [{}]", operand.describe(), list(dims));
}

}  // namespace

Value dot_general(Value lhs, Value rhs, const DotDims& dims, DType result, Precision precision) {
  Graph& graph = graph_of("dot_general", std::vector<Value>{lhs, rhs});
  check(lhs.dtype() == rhs.dtype(), "dot_general", "wanted one dtype, got {} and {}",
        lhs.describe(), rhs.describe());
  check_pairs("batch", lhs, rhs, dims.lhs_batch, dims.rhs_batch);
  check_pairs("contracting", lhs, rhs, dims.lhs_contract, dims.rhs_contract);
  check_apart(lhs, dims.lhs_batch, dims.lhs_contract);
  check_apart(rhs, dims.rhs_batch, dims.rhs_contract);
  std::vector<int64_t> sizes;
  for (int64_t i : dims.lhs_batch) sizes.push_back(lhs.dim(i));
  for (int64_t i = 0; i < lhs.rank(); ++i)
    if (!contains(dims.lhs_batch, i) && !contains(dims.lhs_contract, i))
      sizes.push_back(lhs.dim(i));
  for (int64_t i = 0; i < rhs.rank(); ++i)
    if (!contains(dims.rhs_batch, i) && !contains(dims.rhs_contract, i))
      sizes.push_back(rhs.dim(i));
  const Shape shape(sizes);
  const char* mode = precision == Precision::kHighest ? "HIGHEST" : "DEFAULT";
  const std::string batch = dims.lhs_batch.empty()
                                ? ""
                                : fmt::format(" batching_dims = [{}] x [{}],", list(dims.lhs_batch),
                                              list(dims.rhs_batch));
  return graph.emit(fmt::format("stablehlo.dot_general {}, {},{} contracting_dims = [{}] x [{}], "
                                "precision = [{}, {}] : ({}, {}) -> {}",
                                graph.ref(lhs), graph.ref(rhs), batch, list(dims.lhs_contract),
                                list(dims.rhs_contract), mode, mode, lhs.type().str(),
                                rhs.type().str(), Type{result, shape}.str()),
                    result, shape);
}

namespace {

struct EinsumSpec {
  std::string lhs, rhs, result;
};

EinsumSpec parse(const std::string& spec, Value lhs, Value rhs) {
  const size_t comma = spec.find(','), arrow = spec.find("->");
  check(comma != std::string::npos && arrow != std::string::npos && comma < arrow, "einsum",
        "wanted \"ab,bc->ac\", got \"{}\"", spec);
  EinsumSpec parts{spec.substr(0, comma), spec.substr(comma + 1, arrow - comma - 1),
                   spec.substr(arrow + 2)};
  check(static_cast<int64_t>(parts.lhs.size()) == lhs.rank() &&
            static_cast<int64_t>(parts.rhs.size()) == rhs.rank(),
        "einsum", "\"{}\" does not fit {} and {}", spec, lhs.describe(), rhs.describe());
  for (const std::string& letters : {parts.lhs, parts.rhs, parts.result})
    for (char letter : letters)
      check(std::count(letters.begin(), letters.end(), letter) == 1, "einsum",
            "\"{}\" repeats {} within one operand", spec, letter);
  for (char letter : parts.result)
    check((parts.lhs + parts.rhs).find(letter) != std::string::npos, "einsum",
          "\"{}\": {} is in no operand", spec, letter);
  return parts;
}

}  // namespace

Value einsum(const std::string& spec, Value lhs, Value rhs, DType result, Precision precision) {
  const EinsumSpec parts = parse(spec, lhs, rhs);
  DotDims dims;
  std::string batch, left, right;
  for (size_t i = 0; i < parts.lhs.size(); ++i) {
    const char letter = parts.lhs[i];
    const size_t other = parts.rhs.find(letter);
    const bool kept = parts.result.find(letter) != std::string::npos;
    if (other == std::string::npos) {
      check(kept, "einsum", "\"{}\" sums {} over one operand only", spec, letter);
      left += letter;
    } else if (kept) {
      batch += letter;
      dims.lhs_batch.push_back(static_cast<int64_t>(i));
      dims.rhs_batch.push_back(static_cast<int64_t>(other));
    } else {
      dims.lhs_contract.push_back(static_cast<int64_t>(i));
      dims.rhs_contract.push_back(static_cast<int64_t>(other));
    }
  }
  for (char letter : parts.rhs) {
    if (parts.lhs.find(letter) != std::string::npos) continue;
    check(parts.result.find(letter) != std::string::npos, "einsum",
          "\"{}\" sums {} over one operand only", spec, letter);
    right += letter;
  }
  const std::string order = batch + left + right;
  std::vector<int64_t> permutation;
  for (char letter : parts.result) permutation.push_back(static_cast<int64_t>(order.find(letter)));
  return transpose(dot_general(lhs, rhs, dims, result, precision), permutation);
}

}  // namespace continuo::graph

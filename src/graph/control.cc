#include "graph/control.h"

#include "graph/elementwise.h"

namespace continuo::graph {
namespace {

std::vector<Type> types_vector(std::span<const Value> values) {
  std::vector<Type> types;
  for (Value value : values) types.push_back(value.type());
  return types;
}

std::string text_of(const std::vector<Type>& types) {
  std::string text;
  for (const Type& type : types) text += (text.empty() ? "" : ", ") + type.str();
  return text;
}

void check_types(const char* op, const char* what, const std::vector<Type>& wanted,
                 const std::vector<Type>& got) {
  check(wanted == got, op, "{}: wanted ({}), got ({})", what, text_of(wanted), text_of(got));
}

}  // namespace

Values while_loop(const Values& initial,
                  const std::function<Value(std::span<const Value>)>& condition,
                  const std::function<Values(std::span<const Value>)>& body) {
  Graph& graph = graph_of("while", initial);
  const std::vector<Type> types = types_vector(initial);
  const Graph::Region test =
      graph.region(types, [&](std::span<const Value> a) { return Values{condition(a)}; });
  check_types("while", "condition", {Type{DType::kPred, {}}}, test.results);
  const Graph::Region loop = graph.region(types, body);
  check_types("while", "body", types, loop.results);
  return graph.emit(
      fmt::format("\"stablehlo.while\"({}) ({}, {}) : ({}) -> ({})", graph.refs(initial), test.text,
                  loop.text, types_of(initial), types_of(initial)),
      types);
}

Values for_loop(Value count, const Values& initial,
                const std::function<Values(Value index, std::span<const Value>)>& body) {
  check(count.type() == Type{DType::kI32, {}}, "for", "wanted a scalar i32 count, got {}",
        count.describe());
  Values carried{constant(count.graph(), DType::kI32, 0), count};
  carried.insert(carried.end(), initial.begin(), initial.end());
  Values results = while_loop(
      carried, [](std::span<const Value> a) { return compare(a[0], Compare::kLt, a[1]); },
      [&](std::span<const Value> a) {
        Values next{a[0] + 1, a[1]};
        const Values inner = body(a[0], a.subspan(2));
        next.insert(next.end(), inner.begin(), inner.end());
        return next;
      });
  return Values(results.begin() + 2, results.end());
}

Values conditional(Value pred, const Values& operands,
                   const std::function<Values(std::span<const Value>)>& on_true,
                   const std::function<Values(std::span<const Value>)>& on_false) {
  check(pred.type() == Type{DType::kPred, {}}, "if", "wanted a scalar i1, got {}", pred.describe());
  Graph& graph = graph_of("if", operands);
  // StableHLO's branches take no arguments and capture instead; a function each keeps the rule
  // that a region uses only what it was given, so the branches are calls.
  static constexpr const char* kNames[] = {"_then", "_else"};
  const std::function<Values(std::span<const Value>)>* bodies[] = {&on_true, &on_false};
  const std::string condition = graph.ref(pred), base = graph.unique_name("branch");
  std::string regions[2];
  std::vector<Type> results[2];
  for (int i = 0; i < 2; ++i) {
    const std::string name = base + kNames[i];
    const auto [text, types] = graph.outline(name, operands, *bodies[i]);
    regions[i] = text;
    results[i] = types;
  }
  check_types("if", "branches", results[0], results[1]);
  return graph.emit(fmt::format("\"stablehlo.if\"({}) ({}, {}) : (tensor<i1>) -> ({})", condition,
                                regions[0], regions[1], text_of(results[0])),
                    results[0]);
}

Values optimization_barrier(const Values& values) {
  Graph& graph = graph_of("optimization_barrier", values);
  return graph.emit(
      fmt::format("stablehlo.optimization_barrier {} : {}", graph.refs(values), types_of(values)),
      types_vector(values));
}

Value optimization_barrier(Value value) { return optimization_barrier(Values{value})[0]; }

Values custom_call(const std::string& target, const Values& operands,
                   const std::vector<Type>& results, const std::string& attributes,
                   const std::vector<std::pair<int, int>>& aliases) {
  Graph& graph = graph_of("custom_call", operands);
  check(!results.empty(), "custom_call", "{}: wanted at least one result", target);
  std::string alias_text;
  for (const auto& [output, operand] : aliases) {
    check(output >= 0 && static_cast<size_t>(output) < results.size() && operand >= 0 &&
              static_cast<size_t>(operand) < operands.size() &&
              results[static_cast<size_t>(output)] == operands[static_cast<size_t>(operand)].type(),
          "custom_call", "{}: output {} cannot alias operand {}", target, output, operand);
    alias_text += fmt::format(
        "{}#stablehlo.output_operand_alias<output_tuple_indices = [{}], operand_index = {}, "
        "operand_tuple_indices = []>",
        alias_text.empty() ? "" : ", ", results.size() > 1 ? std::to_string(output) : "", operand);
  }
  return graph.emit(
      fmt::format("\"stablehlo.custom_call\"({}) <{{call_target_name = \"{}\", api_version = 4 : "
                  "i32, backend_config = {{{}}}, has_side_effect = false, "
                  "output_operand_aliases = [{}]}}> : ({}) -> ({})",
                  graph.refs(operands), target, attributes, alias_text, types_of(operands),
                  text_of(results)),
      results);
}

}  // namespace continuo::graph

// Control flow, barriers and custom calls.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace continuo::graph {

using Values = std::vector<Value>;

// while (condition(carried)) carried = body(carried); regions use what is carried only, so what
// the body reads but does not change is carried too.
Values while_loop(const Values& initial,
                  const std::function<Value(std::span<const Value>)>& condition,
                  const std::function<Values(std::span<const Value>)>& body);
// for (i = 0; i < count; ++i) carried = body(i, carried); count: scalar i32.
Values for_loop(Value count, const Values& initial,
                const std::function<Values(Value index, std::span<const Value>)>& body);

// A branch that uses only `operands`. pred: scalar i1.
Values conditional(Value pred, const Values& operands,
                   const std::function<Values(std::span<const Value>)>& on_true,
                   const std::function<Values(std::span<const Value>)>& on_false);

// The compiler moves nothing across it.
Values optimization_barrier(const Values& values);
Value optimization_barrier(Value value);

// A kernel of the executor, typed FFI (api_version 4). `attributes`: MLIR text of a dictionary's
// inside, `aliases`: pairs (output, operand) that share memory.
Values custom_call(const std::string& target, const Values& operands,
                   const std::vector<Type>& results, const std::string& attributes = "",
                   const std::vector<std::pair<int, int>>& aliases = {});

}  // namespace continuo::graph

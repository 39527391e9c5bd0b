// Graph and Value: a StableHLO module being written. Every operation infers its result's type,
// checks its operands (CheckFailure names op, wanted, got) and appends one line of text. The text
// is a function of the calls alone, so the same model gives the same bytes: it keys the compile
// cache. Specification: openxla/stablehlo docs/spec.md.
//
// One thread. Values are handles into their Graph and die with it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/dtype.h"
#include "base/shape.h"

namespace continuo::graph {

class Graph;

// What a value is: its element type and sizes.
struct Type {
  DType dtype = DType::kF32;
  Shape shape;
  bool operator==(const Type&) const = default;
  std::string str() const;  // "tensor<3x7xf32>"
};

// A handle to one result. Copy freely.
class Value {
 public:
  Value() = default;
  bool valid() const { return graph_ != nullptr; }
  const Type& type() const;
  DType dtype() const { return type().dtype; }
  const Shape& shape() const { return type().shape; }
  int64_t rank() const { return shape().rank(); }
  // Size of dimension i; negative counts from the end.
  int64_t dim(int64_t i) const;
  Graph& graph() const;
  std::string describe() const;  // "f32[3,7]", for messages

 private:
  friend class Graph;
  Value(Graph* graph, int id) : graph_(graph), id_(id) {}
  Graph* graph_ = nullptr;
  int id_ = -1;
};

struct Argument {
  std::string name;
  Type type;
  int alias = -1;        // index of the output that takes over this argument's memory (donation)
  bool donor = false;    // given away without an output that takes over its memory
  std::string sharding;  // sdy.sharding attribute text, "" = none
};

class Graph {
 public:
  explicit Graph(std::string name = "step");
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  Value argument(const std::string& name, DType dtype, Shape shape);
  const std::vector<Argument>& arguments() const { return arguments_; }
  void set_sharding(size_t argument, std::string sharding);
  // Adds a result of the module; `donated` names the argument whose memory it takes over, or -1.
  void output(Value value, int donated = -1);
  // The argument is given away, but no output has to lie where it lies.
  void donate(int argument);
  const std::vector<Value>& outputs() const { return outputs_; }

  // A comment, so that the printed graph can be read; one line.
  void comment(const std::string& text);

  // The whole module. Complete once every output() was called; there is at least one.
  std::string text() const;

  // --- for the operations in this folder ---
  // Appends `%n = TEXT` and returns the result(s).
  Value emit(const std::string& text, DType dtype, Shape shape);
  std::vector<Value> emit(const std::string& text, const std::vector<Type>& types);
  // A constant, written once a scope. `literal` is what stands inside dense<>.
  Value constant(const std::string& literal, DType dtype, Shape shape);
  // A region "^bb0(%a: type, ...)": `body` receives its arguments and returns what it yields.
  // Operations inside may use the region's own values only.
  struct Region {
    std::string text;  // "{ ... }"
    std::vector<Type> results;
  };
  using RegionBody = std::function<std::vector<Value>(std::span<const Value>)>;
  Region region(const std::vector<Type>& arguments, const RegionBody& body);
  // A private function, written at its first call; later calls of the same name only call it, so a
  // name stands for one body.
  std::vector<Value> call(const std::string& function, std::span<const Value> arguments,
                          const RegionBody& body);

  // A region without arguments that calls a private function on `arguments`: how a branch, which
  // StableHLO gives no arguments, gets them.
  std::pair<std::string, std::vector<Type>> outline(const std::string& function,
                                                    std::span<const Value> arguments,
                                                    const RegionBody& body);
  // A function name that nothing else in this graph has: "branch0", "branch1" ...
  std::string unique_name(const std::string& stem);

  const std::string& ref(Value value) const;  // "%12"; checks that the value may be used here
  std::string refs(std::span<const Value> values) const;  // "%1, %2"
  const Type& type(Value value) const;

 private:
  struct Node {
    std::string ref;
    Type type;
    int scope = 0;
  };
  struct Scope {
    int id = 0;
    std::string text;
    std::map<std::string, Value> constants;
  };
  struct Function {
    std::string text;
    std::vector<Type> arguments, results;
  };
  const Function& define(const std::string& function, std::span<const Value> arguments,
                         const RegionBody& body);
  Value add(std::string ref, Type type);
  void append(const std::string& line);
  std::vector<Value> open_scope(const std::vector<Type>& arguments, const char* prefix);
  Scope close_scope();

  std::string name_;
  std::vector<Node> nodes_;
  std::vector<Argument> arguments_;
  std::vector<Value> outputs_;
  std::vector<Scope> scopes_;
  std::map<std::string, Function> functions_;
  int next_name_ = 0, next_scope_ = 0, next_block_argument_ = 0, next_function_ = 0;
};

// All of `values` belong to one graph.
Graph& graph_of(const char* op, std::span<const Value> values);
std::string types_of(std::span<const Value> values);  // "tensor<..>, tensor<..>"
std::string list(std::span<const int64_t> numbers);   // "1, 2, 3"

}  // namespace continuo::graph

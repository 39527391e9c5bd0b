#include "graph/graph.h"

#include <fmt/ranges.h>

namespace continuo::graph {

std::string Type::str() const {
  std::string text = "tensor<";
  for (int64_t dim : shape.dims()) text += fmt::format("{}x", dim);
  return text + std::string(name(dtype)) + ">";
}

const Type& Value::type() const {
  check(valid(), "value", "an empty Value was used");
  return graph_->type(*this);
}

int64_t Value::dim(int64_t i) const {
  const int64_t place = i < 0 ? i + rank() : i;
  check(place >= 0 && place < rank(), "value", "dimension {} outside {}", i, describe());
  return shape()[place];
}

Graph& Value::graph() const {
  check(valid(), "value", "an empty Value was used");
  return *graph_;
}

std::string Value::describe() const {
  return valid() ? fmt::format("{}{}", name(dtype()), shape().str()) : "empty";
}

Graph::Graph(std::string name) : name_(std::move(name)) {
  scopes_.push_back(Scope{next_scope_++, "", {}});
}

Value Graph::add(std::string ref, Type type) {
  int64_t bytes = static_cast<int64_t>(byte_size(type.dtype));
  for (int64_t dim : type.shape.dims()) {
    check(dim >= 0, "graph", "sizes must not be negative, got {}", type.shape);
    check(!__builtin_mul_overflow(bytes, dim, &bytes), "graph", "{} is too large", type.str());
  }
  nodes_.push_back(Node{std::move(ref), std::move(type), scopes_.back().id});
  return Value(this, static_cast<int>(nodes_.size()) - 1);
}

void Graph::append(const std::string& line) {
  Scope& scope = scopes_.back();
  scope.text.append(2 * scopes_.size() + 2, ' ');
  scope.text += line;
  scope.text += '\n';
}

void Graph::comment(const std::string& text) {
  check(text.find('\n') == std::string::npos, "comment", "wanted one line, got \"{}\"", text);
  append("// " + text);
}

Value Graph::argument(const std::string& name, DType dtype, Shape shape) {
  check(scopes_.size() == 1, "argument", "{}: arguments belong to the main function", name);
  check(name.find('\n') == std::string::npos, "argument", "wanted a name of one line, got \"{}\"",
        name);
  for (const Argument& each : arguments_)
    check(each.name != name, "argument", "{} is declared twice", name);
  Type type{dtype, std::move(shape)};
  arguments_.push_back(Argument{.name = name, .type = type});
  return add(fmt::format("%arg{}", arguments_.size() - 1), std::move(type));
}

void Graph::set_sharding(size_t argument, std::string sharding) {
  check(argument < arguments_.size(), "sharding", "no argument {}", argument);
  arguments_[argument].sharding = std::move(sharding);
}

void Graph::output(Value value, int donated) {
  check(scopes_.size() == 1, "output", "outputs belong to the main function");
  ref(value);
  if (donated >= 0) {
    check(static_cast<size_t>(donated) < arguments_.size(), "output", "no argument {}", donated);
    Argument& argument = arguments_[static_cast<size_t>(donated)];
    check(argument.type == value.type(), "output", "{} is donated: wanted {}, got {}",
          argument.name, argument.type.str(), value.type().str());
    check(argument.alias < 0, "output", "{} is donated twice", argument.name);
    argument.alias = static_cast<int>(outputs_.size());
  }
  outputs_.push_back(value);
}

void Graph::donate(int argument) {
  check(argument >= 0 && static_cast<size_t>(argument) < arguments_.size(), "donate",
        "no argument {}", argument);
  arguments_[static_cast<size_t>(argument)].donor = true;
}

Value Graph::emit(const std::string& text, DType dtype, Shape shape) {
  std::string ref = fmt::format("%{}", next_name_++);
  append(ref + " = " + text);
  return add(std::move(ref), Type{dtype, std::move(shape)});
}

std::vector<Value> Graph::emit(const std::string& text, const std::vector<Type>& types) {
  if (types.size() == 1) return {emit(text, types[0].dtype, types[0].shape)};
  const std::string name = fmt::format("%{}", next_name_++);
  append(types.empty() ? text : fmt::format("{}:{} = {}", name, types.size(), text));
  std::vector<Value> values;
  for (size_t i = 0; i < types.size(); ++i)
    values.push_back(add(fmt::format("{}#{}", name, i), types[i]));
  return values;
}

Value Graph::constant(const std::string& literal, DType dtype, Shape shape) {
  const Type type{dtype, shape};
  const std::string text = fmt::format("stablehlo.constant dense<{}> : {}", literal, type.str());
  auto& known = scopes_.back().constants;
  if (auto place = known.find(text); place != known.end()) return place->second;
  Value value = emit(text, dtype, std::move(shape));
  known.emplace(text, value);
  return value;
}

std::vector<Value> Graph::open_scope(const std::vector<Type>& arguments, const char* prefix) {
  scopes_.push_back(Scope{next_scope_++, "", {}});
  std::vector<Value> values;
  for (const Type& type : arguments)
    values.push_back(add(fmt::format("%{}{}", prefix, next_block_argument_++), type));
  return values;
}

Graph::Scope Graph::close_scope() {
  Scope scope = std::move(scopes_.back());
  scopes_.pop_back();
  return scope;
}

namespace {

std::string typed_list(const Graph& graph, std::span<const Value> values) {
  std::string text;
  for (Value value : values)
    text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", graph.ref(value), value.type().str());
  return text;
}

std::vector<Type> types_vector(std::span<const Value> values) {
  std::vector<Type> types;
  for (Value value : values) types.push_back(value.type());
  return types;
}

std::string joined(std::span<const Type> types) {
  std::string text;
  for (const Type& type : types) text += (text.empty() ? "" : ", ") + type.str();
  return text;
}

std::string result_list(std::span<const Type> types) {
  return types.size() == 1 ? types[0].str() : "(" + joined(types) + ")";
}

}  // namespace

Graph::Region Graph::region(const std::vector<Type>& arguments, const RegionBody& body) {
  std::vector<Value> values = open_scope(arguments, "a");
  const std::string header = arguments.empty() ? "" : "^bb0(" + typed_list(*this, values) + "):\n";
  const std::vector<Value> yielded = body(values);
  check(!yielded.empty(), "region", "wanted at least one result");
  append(fmt::format("stablehlo.return {} : {}", refs(yielded), types_of(yielded)));
  Scope scope = close_scope();
  const std::string indent(2 * scopes_.size() + 2, ' ');
  return Region{"{\n" + (header.empty() ? "" : indent + header) + scope.text + indent + "}",
                types_vector(yielded)};
}

const Graph::Function& Graph::define(const std::string& function, std::span<const Value> arguments,
                                     const RegionBody& body) {
  const std::vector<Type> types = types_vector(arguments);
  auto place = functions_.find(function);
  if (place == functions_.end()) {
    const std::vector<Value> values = open_scope(types, "f");
    const std::string parameters = typed_list(*this, values);
    const std::vector<Value> results = body(values);
    check(!results.empty(), "call", "{}: wanted at least one result", function);
    append(fmt::format("return {} : {}", refs(results), types_of(results)));
    const std::vector<Type> result_types = types_vector(results);
    const Scope scope = close_scope();
    std::string text = fmt::format("  func.func private @{}({}) -> {} {{\n{}  }}\n", function,
                                   parameters, result_list(result_types), scope.text);
    place = functions_.emplace(function, Function{std::move(text), types, result_types}).first;
  }
  check(place->second.arguments == types, "call", "{}: wanted ({}), got ({})", function,
        joined(place->second.arguments), joined(types));
  return place->second;
}

std::vector<Value> Graph::call(const std::string& function, std::span<const Value> arguments,
                               const RegionBody& body) {
  const std::vector<Type>& results = define(function, arguments, body).results;
  return emit(fmt::format("func.call @{}({}) : ({}) -> {}", function, refs(arguments),
                          types_of(arguments), result_list(results)),
              results);
}

std::pair<std::string, std::vector<Type>> Graph::outline(const std::string& function,
                                                         std::span<const Value> arguments,
                                                         const RegionBody& body) {
  const std::vector<Type> results = define(function, arguments, body).results;
  const std::string name = fmt::format("%{}", next_name_++);
  std::string yielded;
  for (size_t i = 0; i < results.size(); ++i)
    yielded += fmt::format("{}{}", i == 0 ? "" : ", ",
                           results.size() == 1 ? name : fmt::format("{}#{}", name, i));
  const std::string results_of = results.size() == 1 ? "" : fmt::format(":{}", results.size());
  return {fmt::format("{{\n      {}{} = func.call @{}({}) : ({}) -> {}\n      stablehlo.return {} "
                      ": {}\n    }}",
                      name, results_of, function, refs(arguments), types_of(arguments),
                      result_list(results), yielded, joined(results)),
          results};
}

std::string Graph::unique_name(const std::string& stem) {
  return fmt::format("{}{}", stem, next_function_++);
}

const std::string& Graph::ref(Value value) const {
  check(value.graph_ == this, "graph", "a value of another graph was used");
  const Node& node = nodes_[static_cast<size_t>(value.id_)];
  check(node.scope == scopes_.back().id, "graph",
        "{} is used inside a region it was not passed to (type {})", node.ref, node.type.str());
  return node.ref;
}

std::string Graph::refs(std::span<const Value> values) const {
  std::string text;
  for (Value value : values) text += (text.empty() ? "" : ", ") + ref(value);
  return text;
}

const Type& Graph::type(Value value) const {
  check(value.graph_ == this, "graph", "a value of another graph was used");
  return nodes_[static_cast<size_t>(value.id_)].type;
}

std::string Graph::text() const {
  check(scopes_.size() == 1, "graph", "text() was called inside a region");
  check(!outputs_.empty(), "graph", "wanted at least one output");
  std::string names, parameters, functions;
  for (size_t i = 0; i < arguments_.size(); ++i) {
    const Argument& argument = arguments_[i];
    std::string attributes;
    if (argument.alias >= 0)
      attributes = fmt::format("tf.aliasing_output = {} : i32", argument.alias);
    else if (argument.donor)
      attributes = "jax.buffer_donor = true";
    if (!argument.sharding.empty())
      attributes += (attributes.empty() ? "" : ", ") + ("sdy.sharding = " + argument.sharding);
    names += fmt::format("  // %arg{} {}\n", i, argument.name);
    parameters += fmt::format("{}\n      %arg{}: {}{}", i == 0 ? "" : ",", i, argument.type.str(),
                              attributes.empty() ? "" : " {" + attributes + "}");
  }
  for (const auto& [name, function] : functions_) functions += function.text;
  return fmt::format(
      "module @{} {{\n{}  func.func public @main({}) -> ({}) {{\n{}    return {} : {}\n  "
      "}}\n{}}}\n",
      name_, names, parameters, types_of(outputs_), scopes_[0].text, refs(outputs_),
      types_of(outputs_), functions);
}

Graph& graph_of(const char* op, std::span<const Value> values) {
  check(!values.empty(), op, "wanted at least one operand");
  Graph& graph = values[0].graph();
  for (Value value : values)
    check(value.valid() && &value.graph() == &graph, op, "operands belong to different graphs");
  return graph;
}

std::string types_of(std::span<const Value> values) {
  std::string text;
  for (Value value : values) text += (text.empty() ? "" : ", ") + value.type().str();
  return text;
}

std::string list(std::span<const int64_t> numbers) {
  return fmt::format("{}", fmt::join(numbers, ", "));
}

}  // namespace continuo::graph

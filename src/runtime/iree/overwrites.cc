#include "runtime/iree/overwrites.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <span>
#include <string_view>

#include "base/result.h"

namespace continuo::runtime::iree {
namespace {

using Names = std::vector<std::string_view>;
using Arguments = std::set<size_t>;

bool is_name(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         c == '#';
}

// The values that a text names, "%new, %state, %3#1" in their order.
Names names_in(std::string_view text) {
  Names all;
  for (size_t at = text.find('%'); at != text.npos; at = text.find('%', at)) {
    size_t end = at + 1;
    while (end < text.size() && is_name(text[end])) ++end;
    all.push_back(text.substr(at, end - at));
    at = end;
  }
  return all;
}

bool contains_any(std::string_view line, std::span<const std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return line.find(word) != line.npos; });
}

constexpr std::array<std::string_view, 2> kUpdates = {"stablehlo.dynamic_update_slice",
                                                      "stablehlo.scatter"};
// Operations whose result may lie where an operand lies.
constexpr std::array<std::string_view, 4> kSameMemory = {
    "stablehlo.reshape", "stablehlo.optimization_barrier", "stablehlo.bitcast_convert",
    "stablehlo.slice"};
// What may hand its operands to an update elsewhere.
constexpr std::array<std::string_view, 2> kOpaque = {"call @", "stablehlo.while("};

// Reads a module line by line, and keeps which value may lie where which argument lies.
class Flow {
 public:
  explicit Flow(const Signature& signature) {
    for (size_t i = 0; i < signature.arguments.size(); ++i)
      if (!signature.arguments[i].donated) lies_at_[signature.arguments[i].name] = {i};
  }
  void read(std::string_view line);
  std::vector<size_t> written() const { return {written_.begin(), written_.end()}; }

 private:
  void write(std::string_view value) {
    if (const auto at = lies_at_.find(value); at != lies_at_.end())
      written_.insert(at->second.begin(), at->second.end());
  }
  void may_be(std::string_view value, std::string_view source) {
    if (const auto at = lies_at_.find(source); at != lies_at_.end()) {
      const Arguments found = at->second;
      lies_at_[std::string(value)].insert(found.begin(), found.end());
    }
  }
  void read_loop(std::string_view result, const Names& operands);

  std::map<std::string, Arguments, std::less<>> lies_at_;
  Names carried_;  // operands of the loop whose regions come next
  Arguments written_;
};

// "%5:3 = "stablehlo.while"(%1, %2, %3) ({": the results, and the arguments of both regions.
void Flow::read_loop(std::string_view result, const Names& operands) {
  carried_ = operands;
  const std::string_view name = names_in(result)[0];
  for (size_t i = 0; i < operands.size(); ++i)
    may_be(operands.size() == 1 ? std::string(name) : fmt::format("{}#{}", name, i), operands[i]);
}

void Flow::read(std::string_view line) {
  if (line.find("^bb") != line.npos) {
    const Names arguments = names_in(line);
    for (size_t i = 0; i < std::min(arguments.size(), carried_.size()); ++i)
      may_be(arguments[i], carried_[i]);
    return;
  }
  const size_t equals = line.find(" = ");
  if (equals == line.npos) return;
  const std::string_view result = line.substr(0, equals);
  const Names operands = names_in(line.substr(equals));
  if (operands.empty()) return;
  if (line.find("\"stablehlo.while\"(") != line.npos) {
    read_loop(result, operands);
  } else if (contains_any(line, kOpaque)) {
    for (const std::string_view operand : operands) write(operand);
  } else if (contains_any(line, kUpdates)) {
    write(operands[0]);
  } else if (contains_any(line, kSameMemory)) {
    for (size_t i = 0; i < operands.size(); ++i) {
      const std::string_view name = names_in(result)[0];
      may_be(operands.size() == 1 ? std::string(name) : fmt::format("{}#{}", name, i), operands[i]);
    }
  }
}

}  // namespace

std::vector<size_t> overwritten_arguments(const std::string& stablehlo,
                                          const Signature& signature) {
  Flow flow(signature);
  std::string_view rest(stablehlo);
  rest.remove_prefix(std::min(rest.find(signature.text), rest.size()));
  rest.remove_prefix(std::min(signature.text.size(), rest.size()));
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    flow.read(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return flow.written();
}

}  // namespace continuo::runtime::iree

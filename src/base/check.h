// Checks of our own code: a graph written wrongly names the op, what it wanted and what it got.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace continuo {

// Thrown by check(); models::create and Model::write turn it into a Result at their border.
class CheckFailure : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

// check(x.rank() == 3, "rope", "wanted rank 3, got x:{}", x.shape());
template <typename... Args>
void check(bool condition, const char* op, fmt::format_string<Args...> format, Args&&... args) {
  if (condition) return;
  throw CheckFailure("[" + std::string(op) + "] " +
                     fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace continuo

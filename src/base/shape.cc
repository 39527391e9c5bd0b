#include "base/shape.h"

#include <fmt/ranges.h>

namespace continuo {

std::string Shape::str() const { return fmt::format("[{}]", fmt::join(dims_, ",")); }

}  // namespace continuo

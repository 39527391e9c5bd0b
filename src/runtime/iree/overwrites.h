// Which arguments of a program IREE would write into although nobody gave them away.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "runtime/signature.h"

namespace continuo::runtime::iree {

// IREE updates a slice of an argument in place, whether or not the argument is donated. These
// arguments of `stablehlo`, by number in rising order, are not donated, and an update in its @main
// may reach their memory: a run must give copies of them. May name too many, as it does of what is
// passed to a call.
std::vector<size_t> overwritten_arguments(const std::string& stablehlo, const Signature& signature);

}  // namespace continuo::runtime::iree

// Guard: at the root of a thread, or of one piece of its work, an exception becomes an Error. Below
// such a root only check() and the standard library throw (out of memory, above all).
#pragma once

#include <type_traits>
#include <utility>

#include "base/result.h"

namespace continuo {

// The exception being handled: kResourceExhausted where memory ran out, else kInternal. Allocates
// nothing where there is no memory.
Error current_error() noexcept;

// guarded([&]() -> Status { ... }): what the function returns, or what it threw.
template <typename Function>
std::invoke_result_t<Function> guarded(Function&& function) noexcept {
  try {
    return std::forward<Function>(function)();
  } catch (...) {
    return current_error();
  }
}

}  // namespace continuo

// Result<T>: the value, or an error a user can act on. Files, devices and requests return it;
// our own mistakes while writing a graph are CheckFailure (base/check.h) instead.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace continuo {

enum class ErrorCode {
  kInvalidArgument,    // the request or an option is wrong
  kNotFound,           // a file, tensor or device is not there
  kCorrupt,            // a file does not hold what its format promises
  kUnsupported,        // well formed, but not something this build can do
  kUnavailable,        // a device or plugin failed
  kResourceExhausted,  // memory, disk or queue is full
  kCancelled,          // the caller asked to stop
  kInternal,           // a bug of ours, reported instead of crashing
};

const char* to_string(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
};

template <typename... Args>
Error error(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return Error{code, fmt::format(format, std::forward<Args>(args)...)};
}

// Puts context before an error's message: "context: message".
Error with_context(Error error, const std::string& context);

template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result(T value) : data_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : data_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return data_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & { return std::get<0>(data_); }
  const T& value() const& { return std::get<0>(data_); }
  T&& value() && { return std::get<0>(std::move(data_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& { return std::get<1>(data_); }
  Error&& error() && { return std::get<1>(std::move(data_)); }

 private:
  std::variant<T, Error> data_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}
  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const& { return *error_; }
  Error&& error() && { return *std::move(error_); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;
inline Status ok_status() { return {}; }

}  // namespace continuo

#define CONTINUO_CONCAT_INNER(a, b) a##b
#define CONTINUO_CONCAT(a, b) CONTINUO_CONCAT_INNER(a, b)

// CONTINUO_TRY(auto x, f());  assigns f()'s value to x, or returns its error.
#define CONTINUO_TRY(declaration, ...)                            \
  auto CONTINUO_CONCAT(result_, __LINE__) = (__VA_ARGS__);        \
  if (!CONTINUO_CONCAT(result_, __LINE__).ok())                   \
    return std::move(CONTINUO_CONCAT(result_, __LINE__)).error(); \
  declaration = std::move(CONTINUO_CONCAT(result_, __LINE__)).value()

// CONTINUO_RETURN_IF_ERROR(f());  returns f()'s error, if it has one.
#define CONTINUO_RETURN_IF_ERROR(...)                                     \
  do {                                                                    \
    auto continuo_status = (__VA_ARGS__);                                 \
    if (!continuo_status.ok()) return std::move(continuo_status).error(); \
  } while (false)

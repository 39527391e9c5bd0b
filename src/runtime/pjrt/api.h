// A loaded PJRT plugin: its C functions, with every PJRT_Error turned into an Error.
#pragma once

#include <pjrt_c_api.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace continuo::runtime::pjrt {

// CONTINUO_PJRT_ARGS(PJRT_Client_Create, args) declares `args`, zeroed, with its size filled in.
#define CONTINUO_PJRT_ARGS(function, args) \
  function##_Args args{};                  \
  args.struct_size = function##_Args_STRUCT_SIZE

// Lives as long as the process: XLA's threads cannot be stopped, so no plugin is ever unloaded.
// Any thread.
class Api {
 public:
  // Loads the plugin file and initialises it, once a process however often it is asked for.
  // kNotFound: no such file. kUnsupported: not a PJRT plugin, or one of another major version.
  static Result<const Api*> load(const std::string& path);

  // Calls one function of the plugin: call("compile", &PJRT_Api::PJRT_Client_Compile, args).
  // kUnsupported when the plugin is too old to have it; otherwise PJRT's code, mapped, and its
  // message after "PJRT <what>: ".
  template <typename Args>
  Status call(std::string_view what, PJRT_Error* (*PJRT_Api::*function)(Args*), Args& args) const {
    if (!has(&(api_->*function))) return missing(what);
    PJRT_Error* failure = (api_->*function)(&args);
    if (failure == nullptr) [[likely]]
      return {};
    return take(what, failure);
  }
  // Whether the plugin has this function: has(&api->get()->PJRT_Client_Compile).
  template <typename Function>
  bool has(Function* const* slot) const {
    const auto end = reinterpret_cast<const char*>(slot + 1) - reinterpret_cast<const char*>(api_);
    return static_cast<size_t>(end) <= api_->struct_size && *slot != nullptr;
  }

  // Frees `failure` and returns what it said; for functions of extensions.
  Error take(std::string_view what, PJRT_Error* failure) const;

  // Waits for `event`, frees it and returns its error, if any. nullptr is a ready event.
  Status await(std::string_view what, PJRT_Event* event) const;
  // Frees `event` without waiting for it.
  void destroy(PJRT_Event* event) const;
  void destroy(PJRT_Buffer* buffer) const;

  const PJRT_Api* get() const { return api_; }
  const std::string& path() const { return path_; }
  // "PJRT 0.115; xla_version=2; stablehlo_current_version=1.13.7; file 201600336 1760721000"
  const std::string& version() const { return version_; }

 private:
  Api(const PJRT_Api* api, std::string path) : api_(api), path_(std::move(path)) {}
  static Result<Api*> open(const std::string& path);
  Status initialize();
  void describe();
  Error missing(std::string_view what) const;

  const PJRT_Api* api_;
  std::string path_;
  std::string version_;
};

// A client create option; the value's text must outlive the call that takes it.
PJRT_NamedValue named_value(std::string_view name, std::string_view value);
PJRT_NamedValue named_value(std::string_view name, int64_t value);
PJRT_NamedValue named_value(std::string_view name, bool value);
PJRT_NamedValue named_value(std::string_view name, float value);
PJRT_NamedValue named_value(std::string_view name, const std::vector<int64_t>& value);

}  // namespace continuo::runtime::pjrt

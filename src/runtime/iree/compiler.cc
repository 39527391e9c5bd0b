#include "runtime/iree/compiler.h"

#include <dlfcn.h>
#include <iree/compiler/embedding_api.h>

#include <memory>
#include <mutex>
#include <string_view>

namespace continuo::runtime::iree {

struct Compiler::Api {
#define CONTINUO_IREE_FUNCTIONS(F)       \
  F(GetAPIVersion)                       \
  F(GlobalInitialize)                    \
  F(GetRevision)                         \
  F(ErrorDestroy)                        \
  F(ErrorGetMessage)                     \
  F(SessionCreate)                       \
  F(SessionDestroy)                      \
  F(SessionSetFlags)                     \
  F(InvocationCreate)                    \
  F(InvocationDestroy)                   \
  F(InvocationEnableCallbackDiagnostics) \
  F(InvocationParseSource)               \
  F(InvocationPipeline)                  \
  F(InvocationOutputVMBytecode)          \
  F(SourceWrapBuffer)                    \
  F(SourceDestroy)                       \
  F(OutputOpenMembuffer)                 \
  F(OutputMapMemory)                     \
  F(OutputDestroy)
#define CONTINUO_IREE_MEMBER(name) decltype(&ireeCompiler##name) name = nullptr;
  CONTINUO_IREE_FUNCTIONS(CONTINUO_IREE_MEMBER)
#undef CONTINUO_IREE_MEMBER

  // The first function that the library lacks, or nothing.
  const char* bind(void* library) {
#define CONTINUO_IREE_BIND(name)                                                 \
  name = reinterpret_cast<decltype(name)>(dlsym(library, "ireeCompiler" #name)); \
  if (name == nullptr) return "ireeCompiler" #name;
    CONTINUO_IREE_FUNCTIONS(CONTINUO_IREE_BIND)
#undef CONTINUO_IREE_BIND
    return nullptr;
  }
#undef CONTINUO_IREE_FUNCTIONS
};

namespace {

constexpr int kApiMajor = 1;
constexpr size_t kLongestDiagnostic = 2000;

// What a failed compile says. The compiler may report from several threads.
class Diagnostics {
 public:
  static void collect(iree_compiler_diagnostic_severity_t severity, const char* message,
                      size_t size, void* self) {
    if (severity != IREE_COMPILER_DIAGNOSTIC_SEVERITY_ERROR) return;
    auto& all = *static_cast<Diagnostics*>(self);
    const std::lock_guard lock(all.mutex_);
    if (all.text_.size() > kLongestDiagnostic) return;
    all.text_ += fmt::format("\nerror: {}", std::string_view(message, size));
  }
  // Not while compiling.
  std::string text() const {
    if (text_.empty()) return ": no diagnostics";
    return text_.size() <= kLongestDiagnostic ? text_
                                              : text_.substr(0, kLongestDiagnostic) + " ...";
  }

 private:
  std::mutex mutex_;
  std::string text_;
};

template <typename T>
std::unique_ptr<T, void (*)(T*)> own(T* object, void (*destroy)(T*)) {
  return {object, destroy};
}

}  // namespace

Result<const Compiler*> Compiler::open(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    return error(ErrorCode::kNotFound, "IREE's compiler: {}; `make setup-iree` fetches it",
                 dlerror());
  auto api = std::make_unique<Api>();
  if (const char* missing = api->bind(library))
    return error(ErrorCode::kUnsupported, "{}: not IREE's compiler: it has no {}", path, missing);
  const int version = api->GetAPIVersion();
  if (version >> 16 != kApiMajor)
    return error(ErrorCode::kUnsupported, "{}: wanted API version {}, got {}.{}", path, kApiMajor,
                 version >> 16, version & 0xffff);
  api->GlobalInitialize();
  std::string revision = api->GetRevision();
  return new Compiler(path, api.release(), std::move(revision));
}

Result<const Compiler*> Compiler::load(const std::string& path) {
  static std::mutex mutex;
  static const Compiler* loaded = nullptr;
  const std::lock_guard lock(mutex);
  if (loaded == nullptr) {
    CONTINUO_TRY(loaded, open(path));
  }
  if (loaded->path() != path)
    return error(ErrorCode::kUnsupported, "IREE's compiler: wanted {}, but {} is loaded already",
                 path, loaded->path());
  return loaded;
}

Result<std::string> Compiler::compile(const std::string& stablehlo,
                                      const std::vector<std::string>& flags) const {
  const Api& api = *api_;
  const auto check = [&](iree_compiler_error_t* failure) -> Status {
    if (failure == nullptr) return {};
    std::string message = api.ErrorGetMessage(failure);
    api.ErrorDestroy(failure);
    return error(ErrorCode::kInvalidArgument, "compile: {}", message);
  };
  Diagnostics diagnostics;
  const auto session = own(api.SessionCreate(), api.SessionDestroy);
  std::vector<const char*> arguments;
  for (const std::string& flag : flags) arguments.push_back(flag.c_str());
  CONTINUO_RETURN_IF_ERROR(check(
      api.SessionSetFlags(session.get(), static_cast<int>(arguments.size()), arguments.data())));

  iree_compiler_source_t* source = nullptr;
  CONTINUO_RETURN_IF_ERROR(check(api.SourceWrapBuffer(session.get(), "stablehlo", stablehlo.c_str(),
                                                      stablehlo.size() + 1, true, &source)));
  const auto source_owner = own(source, api.SourceDestroy);
  const auto invocation = own(api.InvocationCreate(session.get()), api.InvocationDestroy);
  api.InvocationEnableCallbackDiagnostics(invocation.get(), 0, &Diagnostics::collect, &diagnostics);
  if (!api.InvocationParseSource(invocation.get(), source) ||
      !api.InvocationPipeline(invocation.get(), IREE_COMPILER_PIPELINE_STD))
    return error(ErrorCode::kInvalidArgument, "compile{}", diagnostics.text());

  iree_compiler_output_t* output = nullptr;
  CONTINUO_RETURN_IF_ERROR(check(api.OutputOpenMembuffer(&output)));
  const auto output_owner = own(output, api.OutputDestroy);
  CONTINUO_RETURN_IF_ERROR(check(api.InvocationOutputVMBytecode(invocation.get(), output)));
  void* bytes = nullptr;
  uint64_t size = 0;
  CONTINUO_RETURN_IF_ERROR(check(api.OutputMapMemory(output, &bytes, &size)));
  return std::string(static_cast<const char*>(bytes), size);
}

}  // namespace continuo::runtime::iree

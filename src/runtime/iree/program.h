// A loaded IREE module.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/host_tensor.h"
#include "runtime/executor.h"
#include "runtime/iree/buffer.h"
#include "runtime/iree/device.h"
#include "runtime/signature.h"

namespace continuo::runtime::iree {

class IreeProgram final : public Program {
 public:
  // Loads the compiler's `module` of the program `stablehlo`.
  static Result<ProgramPtr> load(Device& device, const std::string& stablehlo,
                                 std::string_view module);
  static Result<ProgramPtr> deserialize(Device& device, std::span<const std::byte> bytes);
  ~IreeProgram() override { static_cast<void>(device_.enter()); }

  size_t arguments() const override { return signature_.arguments.size(); }
  size_t outputs() const override { return signature_.outputs.size(); }
  Result<std::vector<BufferPtr>> run(std::span<Buffer* const> arguments) override;
  Result<std::string> serialize() const override;

 private:
  IreeProgram(Device& device, Signature signature, std::vector<size_t> overwritten)
      : device_(device), signature_(std::move(signature)), overwritten_(std::move(overwritten)) {}
  Status start(std::string_view module);
  Status push_arguments(std::span<Buffer* const> arguments, const Timeline& timeline);
  Status invoke(Timeline& timeline);
  Result<std::vector<BufferPtr>> collect(std::span<Buffer* const> arguments,
                                         const std::shared_ptr<Timeline>& timeline);

  Device& device_;
  Signature signature_;
  std::vector<size_t> overwritten_;  // arguments to copy before each run (overwrites.h)
  HostTensor bytes_;                 // the module, aligned; read for as long as it is loaded
  ModuleHandle module_;
  ContextHandle context_;
  iree_vm_function_t main_{};
  ListHandle inputs_, results_;  // reused by every run
};

}  // namespace continuo::runtime::iree

// A loaded executable of a PJRT client.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/executor.h"
#include "runtime/pjrt/buffer.h"
#include "runtime/pjrt/client.h"
#include "runtime/signature.h"

namespace continuo::runtime::pjrt {

class PjrtProgram final : public Program {
 public:
  static Result<ProgramPtr> compile(const Client& client, const std::string& stablehlo,
                                    const std::string& options);
  static Result<ProgramPtr> deserialize(const Client& client, std::span<const std::byte> bytes);
  ~PjrtProgram() override;
  PjrtProgram(const PjrtProgram&) = delete;
  PjrtProgram& operator=(const PjrtProgram&) = delete;

  size_t arguments() const override { return signature_.arguments.size(); }
  size_t outputs() const override { return signature_.outputs.size(); }
  Result<std::vector<BufferPtr>> run(std::span<Buffer* const> arguments) override;
  Result<std::string> serialize() const override;

 private:
  PjrtProgram(const Client& client, PJRT_LoadedExecutable* executable)
      : client_(client), executable_(executable) {}
  Status adopt(Signature signature);
  Result<PJRT_Executable*> executable() const;
  Status launch(std::span<Buffer* const> given);
  Result<std::vector<BufferPtr>> collect();
  Result<Placement> output_placement(size_t output, PJRT_Buffer* part) const;

  const Client& client_;
  PJRT_LoadedExecutable* executable_;
  Signature signature_;
  std::vector<Placement> placements_;  // of the outputs; filled by the first run
  // Reused by every run: [device][argument], [device][output] and the rows of each.
  std::vector<PJRT_Buffer*> inputs_, results_;
  std::vector<PJRT_Buffer* const*> input_rows_;
  std::vector<PJRT_Buffer**> result_rows_;
};

}  // namespace continuo::runtime::pjrt

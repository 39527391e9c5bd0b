// The compiler's faults that the executor works around, each on a program of tests/iree (its README
// says more). A test that fails tells that a fault is gone, and with it the reason for a
// workaround.
#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

#include "runtime/conformance.h"
#include "runtime/iree/compiler.h"
#include "runtime/iree/program.h"

namespace continuo::runtime::iree {
namespace {

using testing::HasSubstr;

class IreeKnownFaults : public testing::Test {
 protected:
  static std::string text(const std::string& name) {
    std::ifstream file(std::string(CONTINUO_TEST_DATA) + "/iree/" + name);
    std::stringstream all;
    all << file.rdbuf();
    EXPECT_FALSE(all.str().empty()) << name;
    return all.str();
  }
  static Result<std::string> compile(const std::string& program, const std::string& level) {
    const Compiler* compiler = must(Compiler::load(CONTINUO_IREE_COMPILER));
    return compiler->compile(
        program,
        {"--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=llvm-cpu",
         "--iree-llvmcpu-target-cpu=host", "--iree-opt-level=" + level,
         "--iree-execution-model=async-external", "--iree-input-demote-f64-to-f32=false"});
  }
  // What the program's first output is, compiled at this level.
  std::vector<float> run(const std::string& program, const std::string& level,
                         const std::vector<HostTensor>& inputs) {
    const ProgramPtr loaded =
        must(IreeProgram::load(*device_, program, must(compile(program, level))));
    std::vector<BufferPtr> buffers;
    std::vector<Buffer*> given;
    for (const HostTensor& input : inputs) {
      buffers.push_back(must(upload(*device_, input.view(), HostLifetime::kDuringCall, {})));
      given.push_back(buffers.back().get());
    }
    return values(*must(loaded->run(given))[0]);
  }

  const std::unique_ptr<Device> device_ =
      must(Device::open({.executor = "iree", .device = "local-sync"}));
};

TEST_F(IreeKnownFaults, APredicateInAProductIsMinusOneFromO2On) {
  const std::string program = text("predicate_in_a_product.mlir");
  std::vector<HostTensor> inputs;
  const std::vector<int32_t> places = {0, 1, 2, 3, 4, 5, 6, 7};
  for (int i = 0; i < 2; ++i) inputs.push_back(HostTensor::of<int32_t>(DType::kI32, {8}, places));
  inputs.push_back(floats({1, 6, 8, 8}, std::vector<float>(6 * 8 * 8, 1)));
  // Column c sums the rows from c on.
  std::vector<float> wanted, got;
  for (int i = 0; i < 6 * 8; ++i)
    for (int column = 0; column < 8; ++column) {
      wanted.push_back(static_cast<float>(8 - column));
      got.push_back(static_cast<float>(column - 8));
    }
  EXPECT_EQ(run(program, "O1", inputs), wanted);
  EXPECT_EQ(run(program, "O2", inputs), got) << "mended? See tests/iree/README.md";
}

}  // namespace
}  // namespace continuo::runtime::iree

#include "runtime/signature.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace continuo::runtime {
namespace {

using testing::HasSubstr;

TEST(Signature, ReadsTypesNamesAndDonations) {
  const auto signature = parse_signature(R"(
module @step attributes {mhlo.num_partitions = 2 : i32} {
  sdy.mesh @mesh = <["x"=2]>
  func.func private @helper(%a: tensor<9xf64>) -> tensor<9xf64> { return %a : tensor<9xf64> }
  func.func public @main(%weights: tensor<3x7xbf16> {sdy.sharding = #sdy.sharding<@mesh, [{"x"}, {}]>},
      %state: tensor<2x0x5xf32> {note = "} tf.aliasing_output", tf.aliasing_output = 1 : i32},
      %start: tensor<i32>, %mask: tensor<4xi1> {note = "tf.aliasing_output"},
      %ids: tensor<6xui64> {jax.buffer_donor = true})
      -> (tensor<7xf16> {jax.result_info = "logits"}, tensor<2x0x5xf32>) {
    return
  }
})");
  ASSERT_TRUE(signature.ok()) << signature.error().message;
  ASSERT_EQ(signature->arguments.size(), 5u);
  EXPECT_EQ(signature->arguments[0].name, "%weights");
  EXPECT_EQ(signature->arguments[0].type, (ArrayType{DType::kBF16, {3, 7}}));
  EXPECT_FALSE(signature->arguments[0].donated);
  EXPECT_EQ(signature->arguments[1].type, (ArrayType{DType::kF32, {2, 0, 5}}));
  EXPECT_TRUE(signature->arguments[1].donated);
  EXPECT_EQ(signature->arguments[2].type, (ArrayType{DType::kI32, {}}));
  EXPECT_EQ(signature->arguments[3].type, (ArrayType{DType::kPred, {4}}));
  EXPECT_FALSE(signature->arguments[3].donated) << "the name stands in a string";
  EXPECT_TRUE(signature->arguments[4].donated);
  ASSERT_EQ(signature->outputs.size(), 2u);
  EXPECT_EQ(signature->outputs[0], (ArrayType{DType::kF16, {7}}));
}

TEST(Signature, ItsOwnTextGivesItAgain) {
  const auto whole = parse_signature(
      "module { func.func @main(%a: tensor<2xf32> {tf.aliasing_output = 0 : i32}) -> tensor<2xf32> "
      "{ return %a : tensor<2xf32> } }");
  ASSERT_TRUE(whole.ok()) << whole.error().message;
  const auto again = parse_signature(whole->text);
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(again->text, whole->text);
  EXPECT_TRUE(again->arguments[0].donated);
  EXPECT_EQ(again->outputs, whole->outputs);
}

TEST(Signature, TakesNoArgumentsAndNoResults) {
  const auto none = parse_signature("func.func @main() { return }");
  ASSERT_TRUE(none.ok()) << none.error().message;
  EXPECT_TRUE(none->arguments.empty());
  EXPECT_TRUE(none->outputs.empty());
}

TEST(Signature, RefusesWhatItCannotRead) {
  for (const auto& [text, message] : std::vector<std::pair<std::string, std::string>>{
           {"", "no function"},
           {"func.func @other() {}", "no function"},
           {"func.func @main", "wanted ("},
           {"func.func @main(", "wanted %name: type"},
           {"func.func @main(%a: tensor<2xf32>", "wanted , or )"},
           {"func.func @main(%a: tensor<2xf32> {x = {y}", "without an end"},
           {"func.func @main(%a: tensor<?xf32>)", "element type ?xf32"},
           {"func.func @main(%a: tensor<2xcomplex<f32>>)", "element type complex<f32"},
           {"func.func @main(%a: tensor<99999999999999999999xf32>)", "wanted a size"},
           {"func.func @main(%a: tensor<4294967296x4294967296xf32>)", "more elements"},
           {"func.func @main(%a: tensor<2", "wanted a size followed by x"},
           {"func.func @main(%a: i32)", "wanted a tensor type"},
           {"func.func @main() -> (tensor<f32>", "after a result"}}) {
    const auto signature = parse_signature(text);
    ASSERT_FALSE(signature.ok()) << text;
    EXPECT_THAT(signature.error().message, HasSubstr(message)) << text;
  }
}

}  // namespace
}  // namespace continuo::runtime

#include "runtime/iree/overwrites.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace continuo::runtime::iree {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// The declaration and the body of a @main of three [5,4] arrays; the third is donated.
std::vector<size_t> overwritten(const std::string& body) {
  const std::string text =
      "module {\n  func.func public @main(%arg0: tensor<5x4xf32>, %arg1: tensor<5x4xf32>, %arg2: "
      "tensor<5x4xf32> {tf.aliasing_output = 0 : i32}) -> tensor<5x4xf32> {\n" +
      body + "    return %9 : tensor<5x4xf32>\n  }\n}\n";
  const auto signature = parse_signature(text);
  EXPECT_TRUE(signature.ok());
  return overwritten_arguments(text, *signature);
}

TEST(Overwrites, WhatIsUpdatedAndNotDonated) {
  EXPECT_THAT(overwritten("%9 = stablehlo.add %arg0, %arg1 : tensor<5x4xf32>\n"), IsEmpty());
  EXPECT_THAT(overwritten("%9 = stablehlo.dynamic_update_slice %arg1, %arg0, %1, %2 : ...\n"),
              ElementsAre(1));
  EXPECT_THAT(overwritten("%9 = \"stablehlo.scatter\"(%arg0, %1, %arg1) ({\n"), ElementsAre(0));
  EXPECT_THAT(overwritten("%9 = stablehlo.dynamic_update_slice %arg2, %arg0, %1, %2 : ...\n"),
              IsEmpty());
}

TEST(Overwrites, ThroughViewsBarriersAndCalls) {
  EXPECT_THAT(overwritten("%1 = stablehlo.reshape %arg1 : (tensor<5x4xf32>) -> tensor<20xf32>\n"
                          "%2:2 = stablehlo.optimization_barrier %arg0, %1 : ...\n"
                          "%9 = stablehlo.dynamic_update_slice %2#1, %arg0, %3 : ...\n"),
              ElementsAre(1));
  EXPECT_THAT(overwritten("%1 = stablehlo.negate %arg1 : tensor<5x4xf32>\n"
                          "%9 = stablehlo.dynamic_update_slice %1, %arg0, %3 : ...\n"),
              IsEmpty());
  EXPECT_THAT(overwritten("%9 = func.call @part(%arg0, %arg1) : ...\n"), ElementsAre(0, 1));
}

TEST(Overwrites, OnlyWhatALoopUpdates) {
  const std::string loop =
      "%1:2 = \"stablehlo.while\"(%arg0, %arg1) ({\n"
      "^bb0(%iter0: tensor<5x4xf32>, %iter1: tensor<5x4xf32>):\n"
      "}, {\n"
      "^bb0(%iter2: tensor<5x4xf32>, %iter3: tensor<5x4xf32>):\n"
      "%4 = stablehlo.{} %iter2, %iter3, %3 : ...\n"
      "}) : ...\n";
  const auto with = [&](const std::string& op) {
    std::string text = loop;
    return text.replace(text.find("{} "), 2, op);
  };
  EXPECT_THAT(overwritten(with("add")), IsEmpty());
  EXPECT_THAT(overwritten(with("dynamic_update_slice")), ElementsAre(0));
  EXPECT_THAT(overwritten(with("add") + "%9 = stablehlo.dynamic_update_slice %1#1, %4, %3 : ...\n"),
              ElementsAre(1));
}

}  // namespace
}  // namespace continuo::runtime::iree

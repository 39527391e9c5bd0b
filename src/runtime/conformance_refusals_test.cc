// Executors refuse what is wrong, in words, and survive it.
#include "runtime/conformance.h"

#include <cstdint>

namespace continuo::runtime {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

TEST_P(Conformance, ADonatedBufferIsGone) {
  auto program = compile(kWriteRow);
  auto state = upload(floats({5, 4}, std::vector<float>(20, 7)));
  auto row = upload(floats({1, 4}, {1, 2, 3, 4}));
  auto at = upload_int(0);
  run(*program, {state.get(), row.get(), at.get()});
  EXPECT_THAT(refusal(*program, {state.get(), row.get(), at.get()}).message,
              AllOf(HasSubstr("argument 0 (%state)"), HasSubstr("earlier run")));
  EXPECT_EQ(state->download().error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(values(*row), ElementsAre(1, 2, 3, 4)) << "not donated, still there";
}

TEST_P(Conformance, ARefusedRunTakesNothing) {
  auto program = compile(kWriteRow);
  auto state = upload(floats({5, 4}, std::vector<float>(20, 7)));
  auto row = upload(floats({1, 4}, {1, 2, 3, 4}));
  refusal(*program, {state.get(), row.get(), row.get()});
  EXPECT_EQ(values(*state), std::vector<float>(20, 7));
}

TEST_P(Conformance, RefusesToDonateTheSameArrayTwiceOrTheCallersMemory) {
  auto program = compile(R"(module {
    func.func public @main(%a: tensor<2xf32> {tf.aliasing_output = 0 : i32}, %b: tensor<2xf32>)
        -> tensor<2xf32> {
      %0 = stablehlo.add %a, %b : tensor<2xf32>
      return %0 : tensor<2xf32>
    } })");
  auto x = upload(floats({2}, {1, 2}));
  EXPECT_THAT(refusal(*program, {x.get(), x.get()}).message,
              AllOf(HasSubstr("argument 1 (%b)"), HasSubstr("donated as another argument")));
  const HostTensor host = floats({2}, {5, 6});
  auto borrowed = must(executor().upload(host.view(), HostLifetime::kBuffer));
  EXPECT_THAT(refusal(*program, {borrowed.get(), x.get()}).message,
              AllOf(HasSubstr("argument 0 (%a)"), HasSubstr("cannot be donated")));
  EXPECT_THAT(values(*run(*program, {x.get(), borrowed.get()})[0]), ElementsAre(6, 8));
  EXPECT_EQ(host.as<float>()[0], 5) << "the caller's memory is never written";
}

TEST_P(Conformance, NamesTheArgumentThatIsWrong) {
  auto program = compile(kAdd);
  auto good = upload(floats({2, 3}, std::vector<float>(6, 1)));
  auto shape = upload(floats({3, 2}, std::vector<float>(6, 1)));
  auto type = upload(HostTensor(DType::kI32, {2, 3}));
  const auto message = [&](std::vector<Buffer*> arguments) {
    const Error error = refusal(*program, std::move(arguments));
    EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
    return error.message;
  };
  EXPECT_THAT(message({good.get()}), HasSubstr("wanted 2 arguments, got 1"));
  EXPECT_THAT(message({good.get(), shape.get()}),
              HasSubstr("argument 1 (%right): wanted f32[2,3], got f32[3,2]"));
  EXPECT_THAT(message({type.get(), good.get()}),
              HasSubstr("argument 0 (%left): wanted f32[2,3], got i32[2,3]"));
  EXPECT_THAT(message({good.get(), nullptr}), HasSubstr("argument 1 (%right)"));
}

TEST_P(Conformance, RefusesABufferOfAnotherExecutor) {
  auto other = must(open_executor(GetParam().options));
  const HostTensor host = floats({2, 3}, std::vector<float>(6, 1));
  auto foreign = must(other->upload(host.view(), HostLifetime::kDuringCall));
  auto program = compile(kAdd);
  EXPECT_THAT(refusal(*program, {foreign.get(), foreign.get()}).message,
              HasSubstr("another executor"));
}

TEST_P(Conformance, SaysWhatIsWrongWithAText) {
  const auto message = [&](const std::string& text) {
    const auto program = executor().compile(text);
    EXPECT_FALSE(program.ok()) << text;
    return program.ok() ? "" : program.error().message;
  };
  EXPECT_THAT(message("module { func.func @main( }"), HasSubstr("error: "));
  EXPECT_THAT(message("module { func.func @main(%a: tensor<2xf32>) -> tensor<2xf32> { %0 = "
                      "stablehlo.nothing %a : tensor<2xf32> return %0 : tensor<2xf32> } }"),
              HasSubstr("stablehlo.nothing"));
  EXPECT_THAT(message(""), HasSubstr("main"));
  EXPECT_THAT(message("module { func.func @main(%a: tensor<2xcomplex<f32>>) -> "
                      "tensor<2xcomplex<f32>> { return %a : tensor<2xcomplex<f32>> } }"),
              HasSubstr("element type complex<f32"));
}

TEST_P(Conformance, RefusesBadUploadsAndDownloads) {
  const HostTensor host = floats({2}, {1, 2});
  const auto upload_error = [&](const HostView& view, Placement placement = {}) {
    const auto buffer = executor().upload(view, HostLifetime::kDuringCall, placement);
    EXPECT_FALSE(buffer.ok());
    return buffer.ok() ? "" : buffer.error().message;
  };
  EXPECT_THAT(upload_error({DType::kF32, {2}, nullptr}), HasSubstr("no data for f32[2]"));
  EXPECT_THAT(upload_error({DType::kF32, {-2}, host.data()}), HasSubstr("negative"));
  const int64_t huge = int64_t{1} << 40;
  EXPECT_THAT(upload_error({DType::kF32, {huge, huge}, host.data()}), HasSubstr("larger"));
  EXPECT_THAT(upload_error(host.view(), Placement{1}), HasSubstr("axis 1"));
  EXPECT_FALSE(executor().zeros(DType::kF32, {huge, huge}).ok());

  std::vector<std::byte> three(12);
  EXPECT_THAT(upload(host)->download(three).error().message,
              HasSubstr("f32[2] has 8 bytes, the destination 12"));
}

TEST_P(Conformance, RunningOutOfMemoryIsAnError) {
  auto program = compile(R"(module {
    func.func public @main(%x: tensor<f32>) -> tensor<2097152x2097152xf32> {
      %0 = stablehlo.broadcast_in_dim %x, dims = [] : (tensor<f32>) -> tensor<2097152x2097152xf32>
      return %0 : tensor<2097152x2097152xf32>
    } })");
  auto x = must(executor().zeros(DType::kF32, {}));
  const Error error = refusal(*program, {x.get()});
  EXPECT_EQ(error.code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(error.message, HasSubstr("17592186044416"));
}

TEST_P(Conformance, RefusesForeignBytes) {
  const std::string bytes = must(compile(kAdd)->serialize());
  for (const size_t size : {size_t{0}, size_t{10}, size_t{20}, size_t{60}, bytes.size() / 2})
    EXPECT_FALSE(executor().deserialize(std::as_bytes(std::span(bytes).first(size))).ok()) << size;
  const std::string noise(1000, 'x');
  EXPECT_EQ(executor().deserialize(std::as_bytes(std::span(noise))).error().code,
            ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace continuo::runtime

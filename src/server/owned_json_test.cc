#include "server/owned_json.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <new>
#include <string>

namespace {

constexpr int64_t kPlenty = std::numeric_limits<int64_t>::max();
thread_local int64_t left = kPlenty;  // allocations that this thread may still make

}  // namespace

void* operator new(std::size_t size) {
  if (left <= 0) throw std::bad_alloc();
  if (left != kPlenty) --left;
  void* const memory = std::malloc(size > 0 ? size : 1);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept { std::free(memory); }

namespace continuo::server {
namespace {

std::string long_body() {
  std::string numbers = "5";
  for (int i = 0; i < 700; ++i) numbers += ", [6, {\"k\": [7, \"" + std::string(40, 'x') + "\"]}]";
  return R"({"prompt": [)" + numbers + R"(], "a": {"b": [[[1], 2], 3]}, "prompt": [)" + numbers +
         R"(], "n": null})";
}

// Has `left` at `count` while it lives.
class Allocations {
 public:
  explicit Allocations(int64_t count) { left = count; }
  ~Allocations() { left = kPlenty; }
};

TEST(OwnedJson, IsTakenApartWithoutMemory) {
  OwnedJson body = parse_body(long_body()).value(), copy = OwnedJson::copy_of(*body);
  EXPECT_EQ(dump(*copy), dump(*body));
  const Allocations none(0);
  { const OwnedJson gone = std::move(body); }
  copy = OwnedJson();
}

}  // namespace
}  // namespace continuo::server

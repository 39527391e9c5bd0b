#include "server/intake.h"

#include <gtest/gtest.h>

#include <optional>

namespace continuo::server {
namespace {

using Room = Intake::Room;

TEST(Intake, CountsConnectionsByAddress) {
  ServerOptions options;
  options.max_address_connections = 2;
  Intake intake(options);
  {
    const auto first = intake.connect("a");
    std::optional<Intake::Seat> second(intake.connect("a"));
    EXPECT_TRUE(first && *second);
    EXPECT_FALSE(intake.connect("a"));
    EXPECT_TRUE(intake.connect("b"));
    EXPECT_TRUE(intake.connect("") && intake.connect("") && intake.connect(""));
    second.reset();
    EXPECT_TRUE(intake.connect("a"));
  }
  EXPECT_EQ(intake.addresses(), 0u);
}

TEST(Intake, CountsBytesAsTheyCome) {
  ServerOptions options;
  options.max_bodies_bytes = 100;
  options.max_address_bytes = 60;
  Intake intake(options);
  {
    Intake::Reservation a(intake, "a"), also_a(intake, "a"), b(intake, "b"), local(intake, "");
    EXPECT_EQ(intake.bytes(), 0u);  // nothing has come
    EXPECT_EQ(a.grow_to(50), Room::kYes);
    EXPECT_EQ(also_a.grow_to(11), Room::kNoneForAddress);
    EXPECT_EQ(also_a.grow_to(10), Room::kYes);
    EXPECT_EQ(b.grow_to(41), Room::kNone);
    EXPECT_EQ(local.grow_to(40), Room::kYes);
    EXPECT_EQ(intake.bytes(), 100u);
    a.release();
    EXPECT_EQ(b.grow_to(41), Room::kYes);
    Intake::Reservation moved(std::move(b));
    EXPECT_EQ(b.bytes(), 0u);
    EXPECT_EQ(intake.bytes(), 91u);
  }
  EXPECT_EQ(intake.bytes(), 0u);
  EXPECT_EQ(intake.addresses(), 0u);
}

}  // namespace
}  // namespace continuo::server

// Intake: the connections and the bytes of bodies that clients hold, all together and by address.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "server/options.h"

namespace continuo::server {

// `client` is what limits count by: see client_key(). "" is limited only by the total.
// io thread; outlives its Reservations and Seats.
class Intake {
 public:
  explicit Intake(const ServerOptions& options) : options_(options) {}
  Intake(const Intake&) = delete;
  Intake& operator=(const Intake&) = delete;

  // A connection's place, for as long as it lasts.
  class Seat {
   public:
    Seat() = default;
    Seat(Seat&& other) noexcept
        : intake_(std::exchange(other.intake_, nullptr)), client_(std::move(other.client_)) {}
    Seat& operator=(Seat&&) = delete;
    ~Seat();
    explicit operator bool() const { return intake_ != nullptr; }

   private:
    friend class Intake;
    Seat(Intake* intake, std::string client) : intake_(intake), client_(std::move(client)) {}
    Intake* intake_ = nullptr;
    std::string client_;
  };
  Seat connect(const std::string& client);  // false: this address has as many as it may have

  enum class Room { kYes, kNone, kNoneForAddress };
  // Bytes held for one body, which grow as it arrives.
  class Reservation {
   public:
    Reservation() = default;
    Reservation(Intake& intake, std::string client)
        : intake_(&intake), client_(std::move(client)) {}
    Reservation(Reservation&& other) noexcept { *this = std::move(other); }
    Reservation& operator=(Reservation&& other) noexcept;
    ~Reservation() { release(); }

    Room grow_to(uint64_t bytes);  // unchanged where there is no room
    uint64_t bytes() const { return bytes_; }
    void release();

   private:
    Intake* intake_ = nullptr;
    std::string client_;
    uint64_t bytes_ = 0;
  };

  uint64_t bytes() const { return bytes_; }
  size_t addresses() const { return held_.size(); }  // that hold anything

 private:
  struct Held {
    int64_t connections = 0;
    uint64_t bytes = 0;
  };
  void forget_if_empty(const std::string& client);

  const ServerOptions& options_;
  uint64_t bytes_ = 0;
  std::map<std::string, Held> held_;
};

}  // namespace continuo::server

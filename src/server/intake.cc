#include "server/intake.h"

namespace continuo::server {

Intake::Seat Intake::connect(const std::string& client) {
  if (client.empty()) return Seat(this, "");
  Held& held = held_[client];
  if (held.connections >= options_.max_address_connections) return Seat();
  ++held.connections;
  return Seat(this, client);
}

Intake::Seat::~Seat() {
  if (intake_ == nullptr || client_.empty()) return;
  --intake_->held_[client_].connections;
  intake_->forget_if_empty(client_);
}

void Intake::forget_if_empty(const std::string& client) {
  const auto found = held_.find(client);
  if (found == held_.end()) return;
  if (found->second.connections == 0 && found->second.bytes == 0) held_.erase(found);
}

Intake::Room Intake::Reservation::grow_to(uint64_t bytes) {
  if (bytes <= bytes_) return Room::kYes;
  const uint64_t more = bytes - bytes_;
  if (intake_->bytes_ + more > intake_->options_.max_bodies_bytes) return Room::kNone;
  if (!client_.empty()) {
    uint64_t& held = intake_->held_[client_].bytes;
    if (held + more > intake_->options_.max_address_bytes) {
      intake_->forget_if_empty(client_);
      return Room::kNoneForAddress;
    }
    held += more;
  }
  intake_->bytes_ += more;
  bytes_ = bytes;
  return Room::kYes;
}

Intake::Reservation& Intake::Reservation::operator=(Reservation&& other) noexcept {
  if (this == &other) return *this;
  release();
  intake_ = std::exchange(other.intake_, nullptr);
  client_ = std::move(other.client_);
  bytes_ = std::exchange(other.bytes_, 0);
  return *this;
}

void Intake::Reservation::release() {
  if (bytes_ == 0) return;
  intake_->bytes_ -= bytes_;
  if (!client_.empty()) {
    intake_->held_[client_].bytes -= bytes_;
    intake_->forget_if_empty(client_);
  }
  bytes_ = 0;
}

}  // namespace continuo::server

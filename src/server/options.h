// What a user may set about the server itself; the engine's options are its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace continuo::server {

struct ServerOptions {
  std::string host = "127.0.0.1";  // an address to listen at, or a name of one
  uint16_t port = 8080;            // 0 = any that is free
  std::vector<std::string> model_names;
  std::vector<std::string> api_keys;      // empty: no key is asked for
  std::vector<std::string> cors_origins;  // "*" = any; empty: no page of another origin
  bool log_prompts = false;

  // PEM files: both, or neither for plain HTTP. Read once, before the server listens.
  std::optional<std::string> tls_certificate, tls_key;
  bool insecure = false;                     // listen at a public address without a key
  std::vector<std::string> allowed_hosts;    // without a key: besides localhost and the own address
  std::vector<std::string> trusted_proxies;  // addresses or networks: see client_address.h

  // Limits, so that no client costs more than its share.
  int64_t max_connections = 4096;
  uint32_t max_header_bytes = 32 << 10;             // request line and headers
  uint64_t max_body_bytes = 16 << 20;               // of one request
  uint64_t max_bodies_bytes = 256 << 20;            // of all that are being read or parsed
  int64_t max_address_connections = 256;            // of one address
  uint64_t max_address_bytes = 64 << 20;            // of bodies of one address
  std::chrono::milliseconds idle_timeout{75'000};   // a kept connection without a request
  std::chrono::milliseconds head_timeout{20'000};   // its head, from its first byte to its last
  std::chrono::milliseconds read_timeout{60'000};   // a request, from its first byte to its last
  std::chrono::milliseconds body_grace{5'000};      // a body, before its rate counts
  uint64_t min_body_rate = 1024;                    // bytes a second; 0 = any
  std::chrono::milliseconds write_timeout{30'000};  // without the client taking a byte
  std::chrono::milliseconds request_timeout{0};  // an answer, from its request's arrival; 0 = none
};

}  // namespace continuo::server

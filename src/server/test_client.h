// A client that sends bytes as they are and takes answers apart, for tests of the HTTP layer.
#pragma once

#include <gtest/gtest.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace continuo::server {

struct Reply {
  int status = 0;  // 0: the connection ended before a whole answer
  std::map<std::string, std::string> headers;
  std::string body;
  nlohmann::json json() const { return nlohmann::json::parse(body, nullptr, false); }
};

class TestClient {
 public:
  // "127.0.0.1:8080"
  explicit TestClient(const std::string& address) {
    const size_t colon = address.rfind(':');
    addrinfo* found = nullptr;
    EXPECT_EQ(getaddrinfo(address.substr(0, colon).c_str(), address.substr(colon + 1).c_str(),
                          nullptr, &found),
              0);
    socket_ = ::socket(found->ai_family, SOCK_STREAM, 0);
    const timeval limit{kSilence, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    EXPECT_EQ(connect(socket_, found->ai_addr, found->ai_addrlen), 0);
    freeaddrinfo(found);
  }
  ~TestClient() { close(); }
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  int descriptor() const { return socket_; }

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  // Until `text` has come, or the connection's end; what came so far.
  const std::string& read_until(std::string_view text) {
    while (input_.find(text) == std::string::npos && more()) {
    }
    return input_;
  }
  std::string read_to_end() {
    while (more()) {
    }
    return std::exchange(input_, "");
  }
  bool ended() { return !more() && input_.empty(); }  // a silent server is a failure, see more()

  // The next answer on this connection; `head` for one to a HEAD request.
  Reply reply(bool head = false) {
    Reply out;
    const size_t end = read_until("\r\n\r\n").find("\r\n\r\n");
    if (end == std::string::npos) return out;
    parse_head(input_.substr(0, end), out);
    input_.erase(0, end + 4);
    if (head || out.status / 100 == 1 || out.status == 204 || out.status == 304) return out;
    if (out.headers.contains("transfer-encoding")) {
      read_chunks(out);
    } else if (out.headers.contains("content-length")) {
      const size_t size = std::stoul(out.headers["content-length"]);
      while (input_.size() < size && more()) {
      }
      if (input_.size() < size) out.status = 0;
      out.body = input_.substr(0, size);
      input_.erase(0, size);
    } else {
      out.body = read_to_end();
    }
    return out;
  }

  Reply get(const std::string& path, const std::string& headers = "") {
    send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n");
    return reply();
  }
  Reply post(const std::string& path, const std::string& body, const std::string& headers = "") {
    send(post_text(path, body, headers));
    return reply();
  }
  static std::string post_text(const std::string& path, const std::string& body,
                               const std::string& headers = "") {
    return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
           "Content-Length: " + std::to_string(body.size()) + "\r\n" + headers + "\r\n" + body;
  }

 private:
  bool more() {
    char bytes[4096];
    const ssize_t got = recv(socket_, bytes, sizeof bytes, 0);
    if (got > 0) input_.append(bytes, static_cast<size_t>(got));
    if (got < 0 && errno == EAGAIN) ADD_FAILURE() << "nothing came in " << kSilence << " s";
    return got > 0;
  }
  static void parse_head(const std::string& text, Reply& out) {
    out.status = std::atoi(text.substr(text.find(' ')).c_str());
    for (size_t at = text.find("\r\n"); at != std::string::npos; at = text.find("\r\n", at)) {
      at += 2;
      const size_t colon = text.find(": ", at);
      std::string name = text.substr(at, colon - at);
      for (char& c : name) c = static_cast<char>(std::tolower(c));
      out.headers[name] = text.substr(colon + 2, text.find("\r\n", at) - colon - 2);
    }
  }
  void read_chunks(Reply& out) {
    while (true) {
      const size_t line = read_until("\r\n").find("\r\n");
      if (line == std::string::npos) {
        out.status = 0;
        return;
      }
      const size_t size = std::strtoul(input_.c_str(), nullptr, 16);
      while (input_.size() < line + 2 + size + 2 && more()) {
      }
      out.body += input_.substr(line + 2, size);
      input_.erase(0, line + 2 + size + 2);
      if (size == 0) return;
    }
  }

  static constexpr int kSilence = 20;  // seconds
  int socket_ = -1;
  std::string input_;
};

}  // namespace continuo::server

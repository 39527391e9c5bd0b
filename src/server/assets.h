// Files compiled into the program (scripts/embed.py): the page, and the API's description.
#pragma once

#include <span>
#include <string_view>

namespace continuo::server {

struct Asset {
  std::string_view name;  // "index.html", "js/chat.js", "openapi.json"
  std::string_view type;  // of its content
  std::string_view etag;  // with its quotes
  std::string_view data;
};
std::span<const Asset> assets();  // sorted by name

}  // namespace continuo::server

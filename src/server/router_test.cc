#include "server/router.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "server/assets.h"

namespace continuo::server {
namespace {

// "GET /v1/models/{}": as the description writes it, whatever the parameter's name.
std::set<std::string> described() {
  const auto file = std::find_if(assets().begin(), assets().end(),
                                 [](const Asset& each) { return each.name == "openapi.json"; });
  const Json description = Json::parse(file->data);
  std::set<std::string> out;
  for (const auto& [path, methods] : description["paths"].items()) {
    const std::string fixed = path.substr(0, path.find('{'));
    for (const auto& [method, operation] : methods.items()) {
      std::string verb = method;
      std::transform(verb.begin(), verb.end(), verb.begin(), ::toupper);
      out.insert(verb + " " + fixed + (fixed == path ? "" : "{}"));
    }
  }
  return out;
}

TEST(Routes, AreTheOnesDescribed) {
  std::set<std::string> routed;
  for (const Route& each : routes())
    routed.insert(std::string(each.method) + " " + each.path + (each.prefix ? "{}" : ""));
  EXPECT_EQ(routed, described());
}

}  // namespace
}  // namespace continuo::server

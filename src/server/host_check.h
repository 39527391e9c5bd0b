// Which names and pages a server without a key answers to.
#pragma once

#include <optional>

#include "server/api_error.h"
#include "server/client_address.h"
#include "server/exchange.h"
#include "server/options.h"

namespace continuo::server {

// A page of another site can reach a server of this machine: by a name that it lets point here (DNS
// rebinding), or by a request whose answer it cannot read. Without a key to ask for, the host must
// be this one's and a POST's page this server's own or of `cors_origins`; else this is a 403.
// `local`: the connection's address on this side.
std::optional<ApiError> check_host(const ServerOptions& options, const HttpRequest& request,
                                   const Address& local);

}  // namespace continuo::server

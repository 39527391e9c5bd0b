// Log lines with fields: "continuo: info: request method=GET ..." or one JSON object a line.
#pragma once

#include <spdlog/common.h>

#include "server/api_error.h"

namespace continuo::server {

// Sets the process's log up, once, before anything is logged: with `json` every line on stderr is
// an object with "time", "level", "event" and the event's fields, or "message".
void set_up_log(bool json);

// One line. `fields` is an object; any thread.
void log(spdlog::level::level_enum level, const char* event, const Json& fields);

}  // namespace continuo::server

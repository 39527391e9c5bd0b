// The watchdog's thread: answers for the step thread while that waits for a device that does not
// come back, and says when it has waited too long.
#include <spdlog/spdlog.h>

#include "base/guard.h"
#include "engine/engine_impl.h"

namespace continuo::engine {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kTick{50}, kIdleTick{1000};
// So long the step thread has to answer by itself, with the text it still holds.
constexpr milliseconds kGrace{100};
// A tick that comes so late means that the process stood still (SIGSTOP, a debugger).
constexpr milliseconds kStill{2000};

}  // namespace

void Engine::Impl::watch() {
  TimePoint before = Clock::now();
  while (mailbox.wait_tick(kTick, kIdleTick)) {
    const TimePoint now = Clock::now();
    if (now - before > kStill) clock_.forgive(now - before);
    before = now;
    // What had no memory now is done at the next tick.
    static_cast<void>(guarded([&]() -> Status {
      for (const Mailbox::Due& each : mailbox.due(now - kGrace))
        each.delivery->end(each.reason, "");
      if (const auto overrun = clock_.overrun(now); overrun && !hung_)
        hang(fmt::format("a step [{},{}] has not ended within {:g} s", overrun->key.rows,
                         overrun->key.columns, overrun->limit_s));
      if (hung_)
        for (const auto& each : mailbox.open())
          each->end(FinishReason::kError, "the device does not answer");
      return ok_status();
    }));
  }
}

// There is no way back: the device has the state, and the step thread waits for it.
void Engine::Impl::hang(const std::string& what) {
  if (hung_.exchange(true)) return;
  spdlog::critical("the engine hangs: {}", what);
  mailbox.refuse_more("the engine hangs and takes no more requests");
  if (options.on_hang) options.on_hang(what);
}

}  // namespace continuo::engine

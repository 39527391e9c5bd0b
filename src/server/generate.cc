// /v1/completions and /v1/chat/completions: read on a worker, computed by the engine, answered
// here.
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <ctime>
#include <exception>
#include <memory>

#include "server/answer.h"
#include "server/event_queue.h"
#include "server/log.h"
#include "server/on_worker.h"

namespace continuo::server {
namespace {

using Clock = std::chrono::steady_clock;

// The engine's requests of one exchange; whatever ends it, none is left running.
class Running {
 public:
  explicit Running(App& app) : app_(app) {}
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    if (app_.backend == nullptr) return;  // the server has stopped
    for (const uint64_t id : ids_) app_.backend->cancel(id);
  }

  // All prompts or none.
  Status submit(const GenerationRequest& request, const std::shared_ptr<EventQueue>& queue) {
    for (size_t i = 0; i < request.prompts.size(); ++i) {
      engine::Request each = request.request;
      each.ids = request.prompts[i];
      each.on_event = [queue, i](const engine::Event& event) { queue->push(i, event); };
      CONTINUO_TRY(const uint64_t id, app_.backend->submit(std::move(each)));
      ids_.push_back(id);
    }
    return ok_status();
  }
  void ended() { ids_.clear(); }

 private:
  App& app_;
  std::vector<uint64_t> ids_;
};

// Times between the events of one exchange's choices.
class Pace {
 public:
  Pace(Metrics& metrics, Clock::time_point arrived, size_t choices)
      : metrics_(metrics), arrived_(arrived), last_(choices) {}

  void add(size_t choice, const QueuedEvent& each) {
    const auto seconds = [&](Clock::time_point since) {
      return std::chrono::duration<double>(each.time - since).count();
    };
    if (each.event.token) {
      if (last_[choice])
        metrics_.between_tokens(seconds(*last_[choice]));
      else
        metrics_.first_token(seconds(arrived_));
      last_[choice] = each.time;
    }
    if (each.event.finish) metrics_.ended(each.event, seconds(arrived_));
  }

 private:
  Metrics& metrics_;
  Clock::time_point arrived_;
  std::vector<std::optional<Clock::time_point>> last_;  // token of each choice
};

ApiError as_error(const App& app, const engine::Event& failure) {
  switch (*failure.finish) {
    case engine::FinishReason::kDeadline:
      return {503, "The request waited in the queue for as long as a request may take.",
              "deadline_exceeded", "", 5};
    case engine::FinishReason::kCancelled:
      return unavailable(app).value_or(ApiError{503, "The request was cancelled.", "cancelled"});
    case engine::FinishReason::kNotFinite:
      return {500, "The request failed: " + failure.error + ".", "not_finite"};
    default:
      return {500, "The engine failed: " + failure.error, "engine_error"};
  }
}

struct Job {
  App& app;
  Exchange& exchange;
  const GenerationRequest& request;
  Answer& answer;
  Running& running;
  Pace pace;
  std::shared_ptr<EventQueue> queue;
};

void note(Job& job) {
  Json& notes = job.exchange.notes;
  notes["prompt_tokens"] = job.answer.prompt_tokens();
  notes["completion_tokens"] = job.answer.completion_tokens();
  notes["finish_reason"] = job.answer.finish_reasons();
}

// The events that have come, taken in; for a stream also their text.
std::string take(Job& job, const std::vector<QueuedEvent>& events) {
  std::string text;
  for (const QueuedEvent& each : events) {
    job.answer.add(each.prompt, each.event);
    job.pace.add(each.prompt * static_cast<size_t>(job.request.request.choices) +
                     static_cast<size_t>(each.event.choice),
                 each);
    if (job.request.stream) text += job.answer.chunk(each.prompt, each.event);
  }
  if (job.answer.complete()) job.running.ended();
  return text;
}

asio::awaitable<void> answer_whole(Job& job) {
  while (!job.answer.complete()) {
    const auto events = co_await job.queue->next();
    take(job, events);
    if (job.answer.failure() != nullptr) break;
  }
  note(job);
  if (const engine::Event* failure = job.answer.failure())
    co_await job.exchange.respond(as_error(job.app, *failure));
  else
    co_await job.exchange.respond(200, job.answer.whole());
}

// Errors before the first piece of text have their own status; later ones are events.
asio::awaitable<void> answer_streaming(Job& job) {
  while (!job.answer.complete()) {
    const auto events = co_await job.queue->next();
    std::string text = take(job, events);
    note(job);
    if (const engine::Event* failure = job.answer.failure()) {
      ApiError error = as_error(job.app, *failure);
      job.exchange.notes["error"] = error.code;
      if (!job.exchange.begun()) {
        co_await job.exchange.respond(std::move(error));
        co_return;
      }
      text += "data: " + dump(to_json(error)) + "\n\ndata: [DONE]\n\n";
      co_await job.exchange.send(std::move(text));
      break;
    }
    if (job.answer.complete()) text += job.answer.end_of_stream();
    if (text.empty()) continue;
    if (!job.exchange.begun()) co_await job.exchange.begin_events();
    co_await job.exchange.send(std::move(text));
  }
  co_await job.exchange.finish_events();
}

// Never throws, so that it always wins against the watch of the connection.
asio::awaitable<std::exception_ptr> answer(Job& job) {
  try {
    if (job.request.stream)
      co_await answer_streaming(job);
    else
      co_await answer_whole(job);
  } catch (...) {
    co_return std::current_exception();
  }
  co_return nullptr;
}

asio::awaitable<void> run(App& app, Exchange& exchange, const GenerationRequest& request) {
  using namespace asio::experimental::awaitable_operators;
  Running running(app);
  Answer result(request, *app.model, exchange.id(), std::time(nullptr));
  const auto executor = co_await asio::this_coro::executor;
  auto queue = std::make_shared<EventQueue>(executor);
  // Each prompt's engine request is made on a worker: together they may be large.
  auto submit = [&running, &request, queue](const text::Stop&) -> std::optional<Error> {
    const Status status = running.submit(request, queue);
    if (status.ok()) return std::nullopt;
    return status.error();
  };
  auto task = app.workers.run(0, Workers::Time::max(), std::move(submit));
  const std::optional<std::optional<Error>> submitted = co_await std::move(task);
  if (!submitted || *submitted) {
    ApiError wrong = submitted ? api_error(**submitted) : busy();  // GCC 12 frees it twice inline
    co_await exchange.respond(std::move(wrong));
    co_return;
  }
  for (const auto& prompt : request.prompts)
    app.metrics.request(static_cast<int64_t>(prompt.size()), request.request);
  const size_t choices = request.prompts.size() * static_cast<size_t>(request.request.choices);
  Job job{app,  exchange, request, result, running, Pace(app.metrics, exchange.arrived(), choices),
          queue};
  const auto first = co_await (answer(job) || exchange.connection().disconnected());
  app.metrics.abandoned(result.open());
  if (first.index() == 1) {
    exchange.notes["error"] = "client_disconnected";
    note(job);
    exchange.hang_up();
  } else if (std::get<0>(first)) {
    std::rethrow_exception(std::get<0>(first));
  }
}

asio::awaitable<void> generate(App& app, Exchange& exchange, bool chat) {
  const auto limit = app.options.request_timeout;
  const engine::TimePoint deadline =
      limit.count() > 0 ? exchange.arrived() + limit : engine::TimePoint::max();
  const size_t bytes = exchange.request().body().size();
  auto work = [model = &*app.model, body = exchange.take_body(), chat,
               deadline](const text::Stop& stop) {
    return read_generation(body, chat, *model, deadline, &stop);
  };
  auto read = on_worker<GenerationRequest>(app, exchange, bytes, std::move(work));
  const std::optional<GenerationRequest> request = co_await std::move(read);
  if (!request) co_return;
  if (app.options.log_prompts) exchange.notes["prompts"] = request->texts;
  co_await run(app, exchange, *request);
}

}  // namespace

asio::awaitable<void> chat_completions(App& app, Exchange& exchange) {
  co_await generate(app, exchange, true);
}

asio::awaitable<void> completions(App& app, Exchange& exchange) {
  co_await generate(app, exchange, false);
}

}  // namespace continuo::server

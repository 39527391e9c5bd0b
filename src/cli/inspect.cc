// continuo inspect: what a checkpoint holds and what it costs, without a device.
#include <map>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "engine/text_model.h"

namespace continuo::cli {
namespace {

using nlohmann::json;

struct Options {
  std::string model, config_file, dtype = "f32";
  int64_t context = 0;
  bool json = false;
};

json text_facts(const checkpoint::Checkpoint& checkpoint) {
  auto text = engine::text_model(checkpoint);
  if (!text.ok()) return {{"tokenizer", nullptr}, {"problem", text.error().message}};
  const text::Tokenizer& tokenizer = text->tokenizer;
  json facts{{"tokenizer", {{"vocab_size", tokenizer.vocab_size()}}},
             {"chat_template", text->chat ? json(text->chat->source().size()) : json(nullptr)}};
  if (tokenizer.bos()) facts["tokenizer"]["bos"] = *tokenizer.bos();
  facts["tokenizer"]["adds_bos"] = tokenizer.adds_bos();
  facts["tokenizer"]["eos_ids"] =
      std::vector<int32_t>(tokenizer.eos_ids().begin(), tokenizer.eos_ids().end());
  return facts;
}

int64_t bytes_of(const Shape& shape, DType dtype) {
  return shape.elements() * int64_t(byte_size(dtype));
}

Result<json> run(const Options& options) {
  CONTINUO_TRY(auto checkpoint, checkpoint::open(options.model, {options.config_file, true}));
  CONTINUO_TRY(auto model, engine::make_model(checkpoint));
  CONTINUO_TRY(const graph::Target target, engine::target_for(graph::Target{}, options.dtype));
  const models::Facts& facts = model->facts();
  int64_t context = options.context > 0 ? options.context : facts.max_positions;
  if (context == 0) context = 4096;
  CONTINUO_TRY(const auto step, models::write_step(*model, {1, 1, 1, context}, target));

  std::map<std::string, int64_t> encodings, mixers;
  for (const auto& tensor : checkpoint.tensors->tensors())
    ++encodings[tensor.encoding == checkpoint::Encoding::kPlain
                    ? std::string(name(tensor.dtype))
                    : std::string(name(tensor.encoding))];
  for (const std::string& mixer : facts.mixers) ++mixers[mixer];
  int64_t parameters = 0, weight_bytes = 0, slot_bytes = 0, token_bytes = 0, recurrent = 0;
  for (const auto& weight : step.weights) {
    parameters += weight.shape.elements();
    weight_bytes += bytes_of(weight.shape, weight.dtype);
  }
  for (const auto& state : step.state) {
    const int64_t bytes = bytes_of(state.shape, state.dtype);
    slot_bytes += bytes;
    if (state.kind == models::StateKind::kKv)
      token_bytes += bytes / state.positions;
    else
      recurrent += bytes;
  }
  json result{{"model", checkpoint.path},
              {"format", checkpoint.format},
              {"family", facts.family},
              {"model_type", facts.model_type},
              {"layers", facts.layers},
              {"mixers", mixers},
              {"hidden_size", facts.hidden},
              {"vocab_size", facts.vocab},
              {"max_positions", facts.max_positions},
              {"tensors", encodings},
              {"parameters", parameters},
              {"weight_bytes", weight_bytes},
              {"state",
               {{"context", context},
                {"bytes_per_slot", slot_bytes},
                {"kv_bytes_per_token", token_bytes},
                {"recurrent_bytes_per_slot", recurrent}}}};
  result.update(text_facts(checkpoint));
  return result;
}

void print(const json& facts) {
  const auto list = [](const json& counts) {
    std::string text;
    for (const auto& [name, count] : counts.items())
      text += fmt::format("{}{} x {}", text.empty() ? "" : ", ", count.get<int64_t>(), name);
    return text;
  };
  const auto mib = [](const json& bytes) { return bytes.get<double>() / (1 << 20); };
  const json& state = facts.at("state");
  fmt::print("{:<14} {} ({})\n", "model", facts.at("model").get<std::string>(),
             facts.at("format").get<std::string>());
  fmt::print("{:<14} {} (model_type {})\n", "family", facts.at("family").get<std::string>(),
             facts.at("model_type").get<std::string>());
  fmt::print("{:<14} {}: {}\n", "layers", facts.at("layers").get<int64_t>(),
             list(facts.at("mixers")));
  fmt::print("{:<14} hidden {}, vocabulary {}, positions {}\n", "sizes",
             facts.at("hidden_size").get<int64_t>(), facts.at("vocab_size").get<int64_t>(),
             facts.at("max_positions").get<int64_t>());
  fmt::print("{:<14} {}\n", "tensors", list(facts.at("tensors")));
  fmt::print("{:<14} {} parameters, {:.1f} MiB on the device\n", "weights",
             facts.at("parameters").get<int64_t>(), mib(facts.at("weight_bytes")));
  fmt::print(
      "{:<14} {:.2f} MiB a slot of {} positions: {} bytes of KV a token, {} bytes recurrent\n",
      "state", mib(state.at("bytes_per_slot")), state.at("context").get<int64_t>(),
      state.at("kv_bytes_per_token").get<int64_t>(),
      state.at("recurrent_bytes_per_slot").get<int64_t>());
  const json& tokenizer = facts.at("tokenizer");
  if (tokenizer.is_null())
    fmt::print("{:<14} none: {}\n", "tokenizer", facts.at("problem").get<std::string>());
  else
    fmt::print("{:<14} {} tokens, ends at {}, chat template: {}\n", "tokenizer",
               tokenizer.at("vocab_size").get<int64_t>(), tokenizer.at("eos_ids").dump(),
               facts.at("chat_template").is_null() ? "no" : "yes");
}

}  // namespace

void add_inspect(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("inspect", "What a checkpoint holds and what it costs");
  command->add_option("model,--model,-m", options->model, "folder or .gguf")->required();
  command->add_option("--config", options->config_file, "config.json to use instead");
  command->add_option("--dtype", options->dtype, "weights on the device: f32 or bf16")
      ->check(CLI::IsMember({"f32", "bf16"}));
  command->add_option("--context", options->context, "positions a slot holds");
  command->add_flag("--json", options->json, "one JSON object");
  command->callback([options, &exit_code] {
    auto facts = run(*options);
    if (!facts.ok()) {
      exit_code = fail(facts.error());
      return;
    }
    if (options->json)
      fmt::print("{}\n", facts->dump());
    else
      print(*facts);
  });
}

}  // namespace continuo::cli

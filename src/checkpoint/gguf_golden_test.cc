// Every GGUF fixture against the same model as a Hugging Face folder: configuration and tensors.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/mapped_file.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf_config.h"

namespace continuo::checkpoint {
namespace {

using nlohmann::json;

// Keys that change no logits: training, caching, the library's version, chunk sizes of an
// implementation, limits that a model does not enforce, and defaults spelled out.
const std::set<std::string> kIgnorable = {
    "_sliding_window_pattern",
    "attention_dropout",
    "attn_mode",
    "block_ffn_dim_multiplier",
    "block_multiple_of",
    "chunk_size",
    "dtype",
    "embd_pdrop",
    "embedding_dropout",
    "expand",
    "full_attn_idxs",
    "fuse_cross_entropy",
    "fuse_norm",
    "hidden_dropout",
    "hidden_ratio",
    "initializer_range",
    "linear_type",
    "mamba_chunk_size",
    "mamba_expand",
    "mamba_ssm_cache_dtype",
    "max_window_layers",
    "moe_shared_expert_overlap",
    "mtp_layers_block_type",
    "num_logits_to_keep",
    "num_nextn_predict_layers",
    "output_router_logits",
    "pad_token_id",
    "partial_rotary_factor=1.0",
    "pretraining_tp",
    "rescale_prenorm_residual",
    "resid_pdrop",
    "residual_dropout",
    "residual_in_fp32",
    "router_aux_loss_coef",
    "router_jitter_noise",
    "sliding_window=null",
    "sliding_window_pattern",
    "time_step_floor",
    "time_step_init_scheme",
    "time_step_max",
    "time_step_min",
    "time_step_scale",
    "torch_dtype",
    "transformers_version",
    "use_associative_scan",
    "use_bidirectional_attention=null",
    "use_cache",
    "use_mamba_kernels",
    "use_mambapy",
    "use_predefined_initial_state",
    "z_loss_coefficient",
};

struct Case {
  const char* folder;
  const char* name;
  // Keys whose value the format loses or holds otherwise, so that they differ here.
  std::set<std::string> other = {};
};

void PrintTo(const Case& test, std::ostream* out) { *out << test.folder << "/" << test.name; }

const std::set<std::string> kFalconMultipliers = {
    "attention_out_multiplier", "embedding_multiplier", "key_multiplier",  "lm_head_multiplier",
    "mlp_multipliers",          "ssm_in_multiplier",    "ssm_multipliers", "ssm_out_multiplier"};
const std::set<std::string> kWidthAdjusted = {"block_auto_adjust_ff_dim", "intermediate_size"};
// Unused by the layers that the model has.
const std::set<std::string> kNoMlpLayers = {"intermediate_size", "max_position_embeddings"};

const std::vector<Case> kCases = {
    {"gguf", "cohere"},
    {"gguf", "falcon_h1", kFalconMultipliers},
    {"gguf", "falcon_mamba"},
    {"gguf", "gemma"},
    {"gguf", "glm4"},
    {"gguf", "granite"},
    {"gguf", "internlm3", {"model_type"}},
    {"gguf", "jamba", {"attn_layer_period"}},
    {"gguf", "jamba_dense", {"expert_layer_offset", "expert_layer_period"}},
    {"gguf", "lfm2", kWidthAdjusted},
    {"gguf", "llama"},
    {"gguf", "llama3_rope"},
    {"gguf", "llama_linear_rope"},
    {"gguf", "llama_yarn"},
    {"gguf", "mamba"},
    {"gguf", "mamba2", {"time_step_rank"}},
    {"gguf", "mixtral", {"head_dim"}},
    {"gguf", "nemotron_h_latent", kNoMlpLayers},
    {"gguf", "olmo2"},
    {"gguf", "olmoe"},
    {"gguf", "qwen2"},
    {"gguf", "qwen2_moe", {"sliding_window"}},
    {"gguf", "qwen3"},
    {"gguf", "qwen3_5"},
    {"gguf", "qwen3_moe"},
    {"gguf", "qwen3_next"},
    {"gguf", "seed_oss"},
    {"gguf", "smollm3"},
    {"gguf", "stablelm"},
    {"gguf", "bamba"},
    {"gguf", "cohere2"},
    {"gguf", "deepseek_v3"},
    {"gguf", "exaone4"},
    {"gguf_lossy", "gemma2", {"query_pre_attn_scalar"}},
    {"gguf", "gemma3_text"},
    {"gguf_lossy", "gpt_oss", {"swiglu_limit"}},
    {"gguf", "granitemoehybrid", {"max_position_embeddings"}},
    {"gguf", "kimi_linear"},
    {"gguf_lossy", "minicpm3", {"dim_model_base", "scale_emb"}},
    {"gguf_lossy", "mistral", {"model_type", "architectures", "sliding_window"}},
    {"gguf", "nemotron_h", {"max_position_embeddings"}},
    {"gguf", "phi3"},
    {"gguf", "phi3_longrope"},
    {"gguf_lossy", "plamo2", {"attention_window_size", "full_attention_idx", "sliding_window"}},
    {"gguf", "rwkv7", {"max_position_embeddings"}},
    {"gguf_lossy", "starcoder2", {"sliding_window"}},
};

std::string path_of(const Case& test, bool gguf) {
  const std::string goldens = std::string(CONTINUO_TEST_DATA) + "/goldens/";
  return gguf ? goldens + test.folder + "/" + test.name + ".gguf" : goldens + test.name;
}

class GgufGolden : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    Result<Checkpoint> folder = open(path_of(GetParam(), false));
    ASSERT_TRUE(folder.ok()) << folder.error().message;
    Result<Checkpoint> gguf = open(path_of(GetParam(), true));
    ASSERT_TRUE(gguf.ok()) << gguf.error().message;
    wanted_ = std::move(folder).value();
    got_ = std::move(gguf).value();
  }

  void compare(const json& wanted, const json& got, const std::set<std::string>& other) {
    for (const auto& [key, value] : wanted.items()) {
      if (kIgnorable.contains(key) || other.contains(key)) continue;
      if (kIgnorable.contains(key + "=" + value.dump())) continue;
      if (!got.contains(key)) {
        ADD_FAILURE() << key << " is missing, wanted " << value;
      } else if (value.is_object() && got[key].is_object()) {
        compare(value, got[key], other);
      } else {
        EXPECT_EQ(got[key], value) << key;
      }
    }
  }

  Checkpoint wanted_, got_;
};

TEST_P(GgufGolden, ConfigurationIsTheSame) {
  compare(wanted_.config, got_.config, GetParam().other);
}

// Falcon-H1's converter multiplies weights (conversion/falcon_h1.py); their product is compared.
std::vector<double> folded_multipliers(const std::string& name, const Shape& shape,
                                       const json& config) {
  const auto number = [&](const char* key) { return config[key].get<double>(); };
  std::vector<double> rows(static_cast<size_t>(shape[0]), 1.0);
  const auto all = [&](double factor) { std::fill(rows.begin(), rows.end(), factor); };
  if (name.ends_with("down_proj.weight")) all(config["mlp_multipliers"][1]);
  if (name.ends_with("gate_proj.weight")) all(config["mlp_multipliers"][0]);
  if (name.ends_with("k_proj.weight")) all(number("key_multiplier"));
  if (name.ends_with("o_proj.weight")) all(number("attention_out_multiplier"));
  if (name.ends_with("out_proj.weight")) all(number("ssm_out_multiplier"));
  if (name == "lm_head.weight") all(number("lm_head_multiplier"));
  if (name == "model.embed_tokens.weight") all(number("embedding_multiplier"));
  if (!name.ends_with("mamba.in_proj.weight")) return rows;
  const auto inner = config["mamba_d_ssm"].get<size_t>();
  const size_t state =
      config["mamba_n_groups"].get<size_t>() * config["mamba_d_state"].get<size_t>();
  const size_t ends[] = {inner, 2 * inner, 2 * inner + state, 2 * inner + 2 * state, rows.size()};
  for (size_t row = 0, part = 0; row < rows.size(); ++row) {
    while (row >= ends[part]) ++part;
    rows[row] = number("ssm_in_multiplier") * config["ssm_multipliers"][part].get<double>();
  }
  return rows;
}

// Sums and logarithms that the converter took are undone to within a rounding of its result.
double tolerance(const std::string& name, const json& config) {
  static const std::set<std::string> kShiftedNorms = {"gemma",  "gemma2",     "gemma3_text",
                                                      "plamo2", "qwen3_next", "qwen3_5"};
  const std::string family = config["model_type"];
  const bool rounded = name.ends_with("A_log") || family == "falcon_h1" ||
                       (name.ends_with("norm.weight") && kShiftedNorms.contains(family));
  return rounded ? 1e-6 : 0;
}

TEST_P(GgufGolden, TensorsAreTheSame) {
  for (const TensorInfo& wanted : wanted_.tensors->tensors()) {
    const TensorInfo* got = got_.tensors->find(wanted.name);
    ASSERT_NE(got, nullptr) << wanted.name;
    ASSERT_EQ(got->shape, wanted.shape) << wanted.name;
    std::vector<float> a(static_cast<size_t>(wanted.shape.elements())), b(a.size());
    ASSERT_TRUE(wanted_.tensors->read_f32(wanted, a).ok());
    ASSERT_TRUE(got_.tensors->read_f32(*got, b).ok());
    std::vector<double> factors(static_cast<size_t>(wanted.shape[0]), 1.0);
    if (wanted_.config["model_type"] == "falcon_h1") {
      factors = folded_multipliers(wanted.name, wanted.shape, wanted_.config);
    }
    const double allowed = tolerance(wanted.name, wanted_.config);
    const size_t columns = a.size() / factors.size();
    double worst = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      const double expected = double{a[i]} * factors[i / columns];
      const double error = std::abs(double{b[i]} - expected) / std::max(1.0, std::abs(expected));
      worst = error <= worst ? worst : error;
    }
    EXPECT_LE(worst, allowed) << wanted.name;
    got_.tensors->release(*got);
  }
}

TEST_P(GgufGolden, HasNoOtherTensors) {
  for (const TensorInfo& tensor : got_.tensors->tensors()) {
    EXPECT_NE(wanted_.tensors->find(tensor.name), nullptr) << tensor.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Every, GgufGolden, ::testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

// "tested" in the table means a case here.
TEST(GgufArchitectures, AreTestedWhereTheTableSaysSo) {
  std::set<std::string> seen;
  for (const Case& test : kCases) {
    Result<MappedFile> file = MappedFile::open(path_of(test, true));
    ASSERT_TRUE(file.ok()) << file.error().message;
    Result<GgufFile> parsed = parse_gguf(file->bytes(), test.name);
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    seen.insert(parsed->find("general.architecture")->get<std::string>());
  }
  std::set<std::string> tested;
  for (const GgufArchitectureRow& row : gguf_architectures()) {
    if (row.tested) tested.insert(std::string(row.name));
  }
  EXPECT_EQ(tested, seen);
}

}  // namespace
}  // namespace continuo::checkpoint

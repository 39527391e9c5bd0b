// What mlx-lm 0.32 rewrites, a family at a time: mlx_lm/models/FAMILY.py, `sanitize`.
#include <fmt/format.h>

#include <array>

#include "checkpoint/mlx_source.h"

namespace continuo::checkpoint {
namespace {

void over(MlxRewriter& rewriter, std::string_view ending, std::vector<float> by) {
  for (const float each : by)
    if (each == 0) return rewriter.fail(fmt::format("{}: its multiplier is 0", ending));
  rewriter.each(ending, [&](MlxTensor& tensor) {
    const auto rows = static_cast<int64_t>(by.size());
    if (rows > 1 && (tensor.info.shape.rank() != 2 || tensor.info.shape[0] != rows))
      return rewriter.fail(fmt::format("tensor \"{}\": expected {} rows, got {}", tensor.info.name,
                                       rows, tensor.info.shape));
    tensor.over = by;
  });
}

// A number a row of in_proj: gate, x, B, C, dt.
std::vector<float> ssm_multipliers(MlxRewriter& rewriter) {
  std::vector<double> by = rewriter.numbers("ssm_multipliers");
  if (by.empty()) by = {0.3535533905932738, 0.25, 0.3535533905932738, 0.5, 0.3535533905932738};
  const double inner = rewriter.number("mamba_d_ssm", 1536),
               state = rewriter.number("mamba_n_groups", 1) * rewriter.number("mamba_d_state", 128);
  const std::array rows{inner, inner, state, state, rewriter.number("mamba_n_heads", 24)};
  std::vector<float> out;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (by.size() != rows.size() || !(rows[i] >= 1 && rows[i] <= 1 << 20)) {
      rewriter.fail(
          "ssm_multipliers, mamba_d_ssm, mamba_n_groups, mamba_d_state or mamba_n_heads "
          "cannot be true");
      return {};
    }
    const double all = rewriter.number("ssm_in_multiplier", 1.25);
    out.insert(out.end(), static_cast<size_t>(rows[i]),
               static_cast<float>(all) * static_cast<float>(by[i]));
  }
  return out;
}

// The multipliers are in the weights. Defaults are those of mlx-lm, which folds them in as well.
void falcon_h1(MlxRewriter& rewriter) {
  const auto by = [&](const char* key, double fallback) {
    return std::vector{static_cast<float>(rewriter.number(key, fallback))};
  };
  std::vector<double> mlp = rewriter.numbers("mlp_multipliers");
  if (mlp.size() != 2) mlp = {0.8838834764831844, 0.5859375};
  over(rewriter, "embed_tokens.weight", by("embedding_multiplier", 5.656854249492381));
  over(rewriter, "lm_head.weight", by("lm_head_multiplier", 0.0390625));
  over(rewriter, "q_proj.weight", by("attention_in_multiplier", 1));
  over(rewriter, "k_proj.weight", by("attention_in_multiplier", 1));
  over(rewriter, ".o_proj.weight", by("attention_out_multiplier", 0.9375));
  over(rewriter, "out_proj.weight", by("ssm_out_multiplier", 0.23570226039551587));
  over(rewriter, "gate_proj.weight", {static_cast<float>(mlp[0])});
  over(rewriter, "down_proj.weight", {static_cast<float>(mlp[1])});
  over(rewriter, "in_proj.weight", ssm_multipliers(rewriter));
}

void latent(MlxRewriter& rewriter) {
  rewriter.join(MlxForm::kLatent, "self_attn.embed_q.weight", "self_attn.unembed_out.weight",
                "self_attn.kv_b_proj.weight");
}

// The family's norms multiply by 1 + w; mlx-lm's by w.
void norms_with_one(MlxRewriter& rewriter) {
  for (const char* ending : {".input_layernorm.weight", ".post_attention_layernorm.weight",
                             "model.norm.weight", ".q_norm.weight", ".k_norm.weight"})
    rewriter.each(ending, [](MlxTensor& tensor) {
      if (tensor.info.shape.rank() == 1) tensor.minus = 1;
    });
}

// Gate and up columns in turn; the experts' MXFP4 blocks stay as they are.
void gpt_oss(MlxRewriter& rewriter) {
  rewriter.each("_proj.weight", [&](MlxTensor& tensor) {
    if (tensor.info.name.find(".mlp.experts.") == std::string::npos) return;
    if (tensor.info.encoding != Encoding::kMXFP4)
      rewriter.fail(
          fmt::format("tensor \"{}\": experts that are not MXFP4 cannot be read in MLX's form",
                      tensor.info.name));
  });
  rewriter.join(MlxForm::kAlternate, "experts.gate_proj.weight", "experts.up_proj.weight",
                "experts.gate_up_proj");
  rewriter.join(MlxForm::kAlternate, "experts.gate_proj.bias", "experts.up_proj.bias",
                "experts.gate_up_proj_bias");
  rewriter.rename("experts.down_proj.weight", "experts.down_proj");
  rewriter.rename("experts.down_proj.bias", "experts.down_proj_bias");
}

void granite_hybrid(MlxRewriter& rewriter) {
  rewriter.join(MlxForm::kRows, "block_sparse_moe.switch_mlp.gate_proj.weight",
                "block_sparse_moe.switch_mlp.up_proj.weight",
                "block_sparse_moe.input_linear.weight");
  rewriter.rename("block_sparse_moe.switch_mlp.down_proj.weight",
                  "block_sparse_moe.output_linear.weight");
  // Without experts the shared MLP is the only one.
  rewriter.join(MlxForm::kRows, ".mlp.gate_proj.weight", ".mlp.up_proj.weight",
                ".shared_mlp.input_linear.weight");
  rewriter.rename(".mlp.down_proj.weight", ".shared_mlp.output_linear.weight");
}

void kimi_linear(MlxRewriter& rewriter) {
  latent(rewriter);
  for (const char* each : {"q_conv", "k_conv", "v_conv"})
    rewriter.rename(fmt::format("{}.conv.weight", each), fmt::format("{}1d.weight", each));
  rewriter.each("", [](MlxTensor& tensor) {
    constexpr std::string_view kMlp = ".mlp.";
    std::string& name = tensor.info.name;
    const size_t at = name.find(kMlp);
    if (at == std::string::npos) return;
    std::string leaf = name.substr(at + kMlp.size());
    if (leaf == "e_score_correction_bias") leaf = "gate." + leaf;
    if (leaf.starts_with("experts.")) {
      for (const auto& [own, theirs] :
           {std::pair("gate_proj", "w1"), std::pair("down_proj", "w2"), std::pair("up_proj", "w3")})
        if (const size_t place = leaf.find(own); place != std::string::npos)
          leaf.replace(place, std::string_view(own).size(), theirs);
    } else if (!leaf.starts_with("gate.") && !leaf.starts_with("shared_experts.")) {
      return;  // a dense layer's
    }
    name = name.substr(0, at) + ".block_sparse_moe." + leaf;
  });
}

// [heads,head size] for one axis.
void rwkv7(MlxRewriter& rewriter) {
  for (const char* ending : {".k_k", ".k_a", "g_norm.weight", "g_norm.bias"})
    rewriter.each(
        ending, [](MlxTensor& tensor) { tensor.info.shape = Shape{tensor.info.shape.elements()}; });
}

constexpr std::array kFamilies = {
    MlxFamily{"cohere", nullptr},
    MlxFamily{"cohere2", nullptr},
    MlxFamily{"deepseek_v2", nullptr},
    MlxFamily{"deepseek_v3", latent},
    MlxFamily{"ernie4_5", nullptr},
    MlxFamily{"exaone4", nullptr},
    MlxFamily{"falcon_h1", falcon_h1},
    MlxFamily{"falcon_mamba", nullptr},
    MlxFamily{"gemma", nullptr},
    MlxFamily{"gemma2", nullptr},
    MlxFamily{"gemma3_text", nullptr},
    MlxFamily{"glm4", nullptr},
    MlxFamily{"gpt_oss", gpt_oss},
    MlxFamily{"granite", nullptr},
    MlxFamily{"granitemoehybrid", granite_hybrid},
    MlxFamily{"internlm3", nullptr},
    MlxFamily{"jamba", nullptr},
    MlxFamily{"kimi_k2", latent},
    MlxFamily{"kimi_linear", kimi_linear},
    MlxFamily{"lfm2", nullptr},
    MlxFamily{"llama", nullptr},
    MlxFamily{"mamba", nullptr},
    MlxFamily{"mamba2", nullptr},
    MlxFamily{"minicpm3", nullptr},
    MlxFamily{"mistral", nullptr},
    MlxFamily{"mixtral", nullptr},
    MlxFamily{"nemotron_h", nullptr},
    MlxFamily{"olmo2", nullptr},
    MlxFamily{"olmo3", nullptr},
    MlxFamily{"olmo_hybrid", nullptr},
    MlxFamily{"olmoe", nullptr},
    MlxFamily{"phi3", nullptr},
    MlxFamily{"plamo2", nullptr},
    MlxFamily{"qwen2", nullptr},
    MlxFamily{"qwen2_moe", nullptr},
    MlxFamily{"qwen3", nullptr},
    MlxFamily{"qwen3_5", norms_with_one},
    MlxFamily{"qwen3_5_text", norms_with_one},
    MlxFamily{"qwen3_moe", nullptr},
    MlxFamily{"qwen3_next", norms_with_one},
    MlxFamily{"recurrent_gemma", nullptr},
    MlxFamily{"rwkv7", rwkv7},
    MlxFamily{"seed_oss", nullptr},
    MlxFamily{"smollm3", nullptr},
    MlxFamily{"stablelm", nullptr},
    MlxFamily{"starcoder2", nullptr},
};

}  // namespace

std::span<const MlxFamily> mlx_families() { return kFamilies; }

}  // namespace continuo::checkpoint

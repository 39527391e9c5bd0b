// Gemma 1, 2 and 3 (text): norms that multiply by 1 + w, embeddings times sqrt(hidden), GeGLU.
// Gemma 2 norms each branch before and after and caps logits; Gemma 3 norms q and k and turns its
// sliding layers by a theta of their own. References: transformers modeling_gemma.py,
// modeling_gemma2.py, modeling_gemma3.py.
#include <cmath>

#include "models/config_defaults.h"
#include "models/decoder.h"
#include "models/families.h"

namespace continuo::models {
namespace {

class Gemma : public Decoder {
 public:
  Gemma(const ConfigView& config, HasTensor has)
      : Decoder(config, std::move(has), RopeDefaults{.layer_type = "full_attention"}) {
    facts_.family = "gemma";
    // Gemma 1's older configs say "gelu" in hidden_act; the model was trained with the tanh form.
    const std::string act = config.text({"hidden_activation", "hidden_act"}, "gelu_pytorch_tanh");
    act_ = activation(act == "gelu" ? "gelu_pytorch_tanh" : act);
    attention_.options.scale =
        1 / std::sqrt(config.number("query_pre_attn_scalar", double(attention_.head_dim)));
    attention_.options.softcap = config.number("attn_logit_softcapping", 0);
    head_softcap_ = config.number("final_logit_softcapping", 0);
  }

  Value embed(Step& step) const override {
    return Decoder::embed(step) * std::sqrt(double(facts_.hidden));
  }

  Value head(Step& step, Value x) const override {
    const Value logits = Decoder::head(step, x);
    return head_softcap_ > 0 ? tanh(logits / head_softcap_) * head_softcap_ : logits;
  }

 protected:
  Value norm(Step& step, Value x, const std::string& name) const override {
    return rms_norm(step, x, name, norm_eps_, 1);
  }

 private:
  double head_softcap_ = 0;
};

class Gemma2 : public Gemma {
 public:
  Gemma2(const ConfigView& config, HasTensor has) : Gemma(config, std::move(has)) {
    facts_.family = "gemma2";
    read_windows(config, 2);
  }

  Value layer(Step& step, int64_t index, Value x) const override {
    const std::string prefix = layer_prefix(index);
    const Value h = norm(step, x, prefix + ".input_layernorm");
    x = x + norm(step, attend(step, index, h), prefix + ".post_attention_layernorm");
    const Value m = norm(step, x, prefix + ".pre_feedforward_layernorm");
    return x + norm(step, feed_forward(step, index, m), prefix + ".post_feedforward_layernorm");
  }
};

class Gemma3 : public Gemma2 {
 public:
  Gemma3(const ConfigView& config, HasTensor has) : Gemma2(config, std::move(has)) {
    facts_.family = "gemma3_text";
    qk_norm_ = QkNorm::kEachHead;
    read_windows(config, 6);
    sliding_rope_ = read_sliding_rope(config, attention_.head_dim,
                                      config.number("rope_local_base_freq", 10000));
  }
};

constexpr char kGemmaDefaults[] = R"({"tie_word_embeddings": true, "head_dim": 256,
    "num_key_value_heads": 16})";
constexpr char kGemma2Defaults[] = R"({"tie_word_embeddings": true, "head_dim": 256,
    "num_key_value_heads": 4, "query_pre_attn_scalar": 256, "sliding_window": 4096,
    "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0})";
// The text_config of the multimodal checkpoints gives little more than its sizes.
constexpr char kGemma3Defaults[] = R"({"tie_word_embeddings": true, "head_dim": 256,
    "query_pre_attn_scalar": 256, "sliding_window": 4096, "vocab_size": 262208,
    "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
    "num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 131072,
    "rope_theta": 1000000.0})";

}  // namespace

const Family kGemma{"gemma",
                    {"gemma"},
                    {"GemmaForCausalLM"},
                    "attention",
                    "kv",
                    {"gemma"},
                    "",
                    make_model_with<Gemma, kGemmaDefaults>};

const Family kGemma2{"gemma2",
                     {"gemma2"},
                     {"Gemma2ForCausalLM"},
                     "attention, sliding window",
                     "kv",
                     {"gemma2"},
                     "",
                     make_model_with<Gemma2, kGemma2Defaults>};

const Family kGemma3Text{"gemma3_text",
                         {"gemma3_text"},
                         {"Gemma3ForCausalLM"},
                         "attention, sliding window",
                         "kv",
                         {"gemma3_text"},
                         "the text part of multimodal checkpoints; embeddings are scaled by the "
                         "unrounded sqrt(hidden_size)",
                         make_model_with<Gemma3, kGemma3Defaults>};

}  // namespace continuo::models

#include <algorithm>
#include <array>
#include <charconv>

#include "checkpoint/gguf_arch.h"

namespace continuo::checkpoint {
namespace {

// What most architectures share (gguf-py, tensor_mapping.py).
constexpr std::array kCommonRules = {
    NameRule{"token_embd", "model.embed_tokens"},
    NameRule{"output", "lm_head"},
    NameRule{"output_norm", "model.norm"},
    NameRule{"rope_freqs.weight", "", How::kSkip},
    NameRule{"rope_factors_long.weight", "", How::kSkip},
    NameRule{"rope_factors_short.weight", "", How::kSkip},
    NameRule{"attn_rot_embd", "", How::kSkip},
    NameRule{"attn_norm", "input_layernorm"},
    NameRule{"attn_q", "self_attn.q_proj"},
    NameRule{"attn_k", "self_attn.k_proj"},
    NameRule{"attn_v", "self_attn.v_proj"},
    NameRule{"attn_output", "self_attn.o_proj"},
    NameRule{"attn_q_norm", "self_attn.q_norm"},
    NameRule{"attn_k_norm", "self_attn.k_norm"},
    NameRule{"ffn_norm", "post_attention_layernorm"},
    NameRule{"ffn_gate", "mlp.gate_proj"},
    NameRule{"ffn_up", "mlp.up_proj"},
    NameRule{"ffn_down", "mlp.down_proj"},
    NameRule{"ffn_gate_inp", "mlp.gate"},
    NameRule{"ffn_gate_exps.weight", "mlp.experts.{}.gate_proj.weight", How::kSlices},
    NameRule{"ffn_up_exps.weight", "mlp.experts.{}.up_proj.weight", How::kSlices},
    NameRule{"ffn_down_exps.weight", "mlp.experts.{}.down_proj.weight", How::kSlices},
    NameRule{"ffn_gate_inp_shexp", "mlp.shared_expert_gate"},
    NameRule{"ffn_gate_shexp", "mlp.shared_expert.gate_proj"},
    NameRule{"ffn_up_shexp", "mlp.shared_expert.up_proj"},
    NameRule{"ffn_down_shexp", "mlp.shared_expert.down_proj"},
};
// Of Mamba mixers, after the architecture's own.
constexpr std::array kMambaRules = {
    NameRule{"ssm_in", "in_proj"},      NameRule{"ssm_conv1d", "conv1d", How::kConv},
    NameRule{"ssm_dt.bias", "dt_bias"}, NameRule{"ssm_a", "A_log", How::kLog},
    NameRule{"ssm_d", "D", How::kFlat}, NameRule{"ssm_norm", "norm", How::kFlat},
    NameRule{"ssm_out", "out_proj"},
};
constexpr int64_t kMaxSlices = 65536;

// "blk.12.attn_q.weight" -> 12, "attn_q.weight"; -1 and the name itself outside the layers.
LayerTensor split(const GgufTensor& tensor) {
  const std::string_view name = tensor.name;
  constexpr std::string_view kBlock = "blk.";
  if (!name.starts_with(kBlock)) return {tensor, -1, name};
  int64_t layer = -1;
  const char* end = name.data() + name.size();
  const auto [after, code] = std::from_chars(name.data() + kBlock.size(), end, layer);
  if (code != std::errc() || after == end || *after != '.' || layer < 0) return {tensor, -1, name};
  return {tensor, layer, name.substr(static_cast<size_t>(after + 1 - name.data()))};
}

Shape without_unit_dims(const Shape& shape) {
  std::vector<int64_t> dims;
  for (int64_t dim : shape.dims()) {
    if (dim != 1) dims.push_back(dim);
  }
  return Shape(std::move(dims));
}

}  // namespace

Result<std::vector<GgufMapping>> GgufMapper::map() {
  for (const GgufTensor& tensor : metadata_.file().tensors) map_tensor(tensor);
  CONTINUO_RETURN_IF_ERROR(metadata_.status());
  std::sort(mappings_.begin(), mappings_.end(),
            [](const GgufMapping& a, const GgufMapping& b) { return a.info.name < b.info.name; });
  for (size_t i = 1; i < mappings_.size(); ++i) {
    if (mappings_[i].info.name == mappings_[i - 1].info.name) {
      return error(ErrorCode::kCorrupt, "two tensors make '{}'", mappings_[i].info.name);
    }
  }
  return std::move(mappings_);
}

void GgufMapper::map_tensor(const GgufTensor& tensor) {
  const LayerTensor part = split(tensor);
  if (part.layer >= metadata_.layers()) return;  // multi-token prediction
  if (architecture_.hook != nullptr && architecture_.hook(*this, part)) return;
  if (apply(part, architecture_.rules)) return;
  const std::string_view mamba = architecture_.mamba_prefix;
  if (!mamba.empty() && apply(part, kMambaRules, mamba)) return;
  if (apply(part, kCommonRules)) return;
  metadata_.fail(fmt::format("tensor '{}' is not one that architecture '{}' has", tensor.name,
                             architecture_.name));
}

bool GgufMapper::apply(const LayerTensor& tensor, std::span<const NameRule> rules,
                       std::string_view prefix) {
  for (const NameRule& rule : rules) {
    if (!tensor.suffix.starts_with(rule.gguf)) continue;
    const std::string_view ending = tensor.suffix.substr(rule.gguf.size());
    if (ending.empty() || ending == ".weight" || ending == ".bias") {
      apply(tensor, rule, fmt::format("{}{}{}", prefix, rule.hf, ending));
      return true;
    }
  }
  return false;
}

void GgufMapper::apply(const LayerTensor& part, const NameRule& rule, const std::string& hf) {
  const GgufTensor& tensor = part.tensor;
  const bool vector = tensor.shape.rank() == 1;
  switch (rule.how) {
    case How::kSkip:
      return;
    case How::kAs:
      return add(part.layer, hf, tensor.shape, {piece(tensor)});
    case How::kFlat:
      return add(part.layer, hf, Shape{tensor.shape.elements()}, {piece(tensor)});
    case How::kConv: {
      const Shape shape = without_unit_dims(tensor.shape);
      if (vector || shape.rank() != 2) return add(part.layer, hf, tensor.shape, {piece(tensor)});
      return add(part.layer, hf, Shape{shape[0], 1, shape[1]}, {piece(tensor)});
    }
    case How::kSlices:
      return add_slices(part, hf);
    case How::kMinus:
      return add(part.layer, hf, tensor.shape, {piece(tensor)}, GgufFix::kSubtract, rule.amount);
    case How::kLog:
      return add(part.layer, hf, without_unit_dims(tensor.shape), {piece(tensor)},
                 GgufFix::kLogOfNegative);
    case How::kQueryRows:
    case How::kKeyRows:
      return add(part.layer, hf, tensor.shape, {head_rows(part, rule.how)});
  }
}

void GgufMapper::add_slices(const LayerTensor& part, const std::string& hf) {
  const Shape& shape = part.tensor.shape;
  if (shape.rank() < 2 || shape[0] > kMaxSlices) {
    metadata_.fail(fmt::format("tensor '{}' has shape {}, wanted up to {} slices", part.tensor.name,
                               shape, kMaxSlices));
    return;
  }
  const Shape slice(std::vector<int64_t>(shape.dims().begin() + 1, shape.dims().end()));
  const size_t hole = hf.find("{}");
  for (int64_t i = 0; i < shape[0]; ++i) {
    std::string name = hf;
    name.replace(hole, 2, std::to_string(i));
    add(part.layer, name, slice, {piece(part.tensor, i * slice.elements(), slice.elements())});
  }
}

// The converter stores each head's rows 0, d/2, 1, d/2 + 1, ...: pairs that RoPE turns together
// (conversion/llama.py, LlamaModel.permute).
GgufPiece GgufMapper::head_rows(const LayerTensor& part, How how) {
  const int64_t queries = metadata_.positive("attention.head_count");
  const int64_t keys = metadata_.integer("attention.head_count_kv", queries);
  const int64_t heads = std::max<int64_t>(how == How::kQueryRows ? queries : keys, 1);
  const Shape& shape = part.tensor.shape;
  GgufPiece result = piece(part.tensor);
  if (shape[0] % (2 * heads) != 0) {
    metadata_.fail(
        fmt::format("tensor '{}' has {} rows for {} heads", part.tensor.name, shape[0], heads));
    return result;
  }
  result.a = shape[0] / heads / 2;
  result.b = 2;
  result.inner = shape.elements() / shape[0];
  return result;
}

GgufPiece GgufMapper::piece(const GgufTensor& tensor) const {
  return piece(tensor, 0, tensor.shape.elements());
}

GgufPiece GgufMapper::piece(const GgufTensor& tensor, int64_t first, int64_t count) const {
  GgufPiece result;
  result.source = static_cast<size_t>(&tensor - metadata_.file().tensors.data());
  result.first = first;
  result.count = result.chunk = result.stride = count;
  return result;
}

void GgufMapper::add(int64_t layer, std::string_view hf, Shape shape, std::vector<GgufPiece> pieces,
                     GgufFix fix, double amount) {
  GgufMapping mapping;
  mapping.info.name =
      layer < 0 ? std::string(hf) : fmt::format("{}{}.{}", architecture_.layer_prefix, layer, hf);
  mapping.info.shape = std::move(shape);
  mapping.pieces = std::move(pieces);
  mapping.fix = fix;
  mapping.amount = amount;
  const Status status = check_mapping(metadata_.file(), mapping);
  if (!status.ok()) return metadata_.fail(status.error().message);
  mappings_.push_back(std::move(mapping));
}

void GgufMapper::add_stacked(int64_t layer, std::string_view hf, const GgufTensor& first,
                             const GgufTensor& second) {
  Shape shape = first.shape;
  const int64_t rank = shape.rank();
  if (rank < 2 || second.shape != shape) {
    metadata_.fail(fmt::format("tensors '{}' {} and '{}' {} do not stack", first.name, shape,
                               second.name, second.shape));
    return;
  }
  GgufPiece upper = piece(first), lower = piece(second);
  upper.chunk = lower.chunk = lower.to = shape[rank - 2] * shape[rank - 1];
  upper.stride = lower.stride = 2 * upper.chunk;
  shape[rank - 2] *= 2;
  add(layer, hf, std::move(shape), {upper, lower});
}

const GgufTensor* GgufMapper::partner(const LayerTensor& part, std::string_view suffix) {
  const GgufTensor* other = metadata_.layer_tensor(part.layer, suffix);
  if (other == nullptr) {
    metadata_.fail(
        fmt::format("tensor '{}' comes without 'blk.{}.{}'", part.tensor.name, part.layer, suffix));
  }
  return other;
}

}  // namespace continuo::checkpoint

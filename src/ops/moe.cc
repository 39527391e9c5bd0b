#include "ops/moe.h"

#include <algorithm>
#include <limits>

namespace continuo::ops {
namespace {

Value lowest(Graph& graph) {
  return constant(graph, DType::kF32, -std::numeric_limits<double>::infinity());
}

// scores:[N,E]: those of the best groups kept, the others at -inf. DeepSeek-V3's group limit.
Value limit_groups(Value scores, const Router& router) {
  const int64_t N = scores.dim(0), E = scores.dim(1), G = router.groups;
  check(E % G == 0, "route", "wanted {} groups to divide {} experts", G, E);
  const Value grouped = reshape(scores, {N, G, E / G});
  const Value best = router.group_by_top2
                         ? reduce_sum(top_k(grouped, std::min<int64_t>(2, E / G)).values, {-1})
                         : reduce_max(grouped, {-1});
  const Value chosen = top_k(best, router.top_groups).indices;  // [N,top]
  const Value group = iota(scores.graph(), DType::kI32, {N, G, router.top_groups}, 1);
  const Value kept =
      reduce_any(compare(group, Compare::kEq, expand_dims(chosen, 1)), {-1});  // [N,G]
  return reshape(select(expand_dims(kept, -1), grouped, lowest(scores.graph())), {N, E});
}

Value one_hot(Value indices, int64_t size) {  // [...] -> [..., size] float32
  std::vector<int64_t> sizes = indices.shape().dims();
  sizes.push_back(size);
  const Value place = iota(indices.graph(), DType::kI32, Shape(sizes), indices.rank());
  return convert(compare(place, Compare::kEq, expand_dims(indices, -1)), DType::kF32);
}

// values:[N,E] at chosen:[N,k] -> [N,k]
Value pick(Value values, Value chosen) {
  const int64_t N = values.dim(0), E = values.dim(1), k = chosen.dim(1);
  return take_last(broadcast_to(expand_dims(values, 1), {N, k, E}), chosen);
}

}  // namespace

Routes route(Value logits, const Router& router) {
  check(logits.rank() == 2 && router.top_k >= 1 && router.top_k <= logits.dim(1), "route",
        "wanted logits:[N,E] and 1 <= k <= E, got {} and k = {}", logits.describe(), router.top_k);
  if (router.scoring == Scoring::kSoftmaxOfChosen) {
    const TopK top = top_k(logits, router.top_k);
    return {top.indices, softmax(top.values, -1) * router.scale, {}};
  }
  const bool sigmoids = router.scoring == Scoring::kSigmoid;
  const Value scores = sigmoids ? sigmoid(logits) : softmax(logits, -1);
  Value choice = router.choice_bias.valid() ? scores + router.choice_bias : scores;
  if (router.groups > 1) choice = limit_groups(choice, router);
  const Value chosen = top_k(choice, router.top_k).indices;
  Value weights = pick(scores, chosen);
  if (router.normalise) {
    const Value sum = reduce_sum(weights, {-1}, true);
    weights = weights / (sigmoids ? sum + 1e-20 : sum);
  }
  return {chosen, router.scale == 1 ? weights : weights * router.scale, {}};
}

namespace {

Value bias_row(Value biases, Value index) {
  const Value zero = constant(biases.graph(), DType::kI32, 0);
  return dynamic_slice(biases, {index, zero}, {1, biases.dim(1)});
}

// The bank's arrays as loop-carried values, in a fixed order.
std::vector<Value> arrays_of(const ExpertBank& bank) {
  std::vector<Value> arrays;
  for (const ExpertMatrix& matrix : bank.in) arrays.push_back(matrix.weight);
  arrays.push_back(bank.out.weight);
  for (Value bias : bank.in_bias) arrays.push_back(bias);
  if (bank.out_bias.valid()) arrays.push_back(bank.out_bias);
  return arrays;
}

// One expert on x:[n,H]; `arrays` as arrays_of gives them, inside or outside a loop.
Value one_expert(Step& step, Value x, Value index, const ExpertBank& bank,
                 std::span<const Value> arrays) {
  const size_t inputs = bank.in.size();
  std::vector<Value> inner;
  // The bank's matrices as the loop carries them.
  const auto carried = [&](ExpertMatrix matrix, Value array) {
    matrix.weight = array;
    return matrix;
  };
  for (size_t i = 0; i < inputs; ++i) {
    Value y = expert_matmul(step, x, carried(bank.in[i], arrays[i]), index);
    if (!bank.in_bias.empty()) y = y + bias_row(arrays[inputs + 1 + i], index);
    inner.push_back(y);
  }
  Value y = expert_matmul(step, bank.combine(inner), carried(bank.out, arrays[inputs]), index);
  return bank.out_bias.valid() ? y + bias_row(arrays.back(), index) : y;
}

// Where each route (n,j) goes: blocks of `size` lines, each block one expert's.
struct Blocks {
  Value line_of_route;    // [N*k] i32
  Value token_of_line;    // [lines] i32; N (a zero row) where a line is empty
  Value expert_of_block;  // [blocks] i32
  Value used;             // scalar i32, blocks to compute
  int64_t size = 1, blocks = 0;
};

Blocks arrange(const Routes& chosen, int64_t experts, int64_t size) {
  const int64_t N = chosen.experts.dim(0), k = chosen.experts.dim(1), routes = N * k;
  Graph& graph = chosen.experts.graph();
  // Padding goes to one expert more, whose blocks come last and are not computed.
  const int64_t count = chosen.valid.valid() ? experts + 1 : experts;
  Value target = chosen.experts;
  if (chosen.valid.valid())
    target =
        select(expand_dims(chosen.valid, 1), target, constant(graph, DType::kI32, double(experts)));
  Blocks blocks{{}, {}, {}, {}, size, std::min(routes, routes / size + count)};
  const Value flat = reshape(target, {routes});
  const Value hot = convert(one_hot(flat, count), DType::kI32);  // [routes,count]
  const Value running = cumsum(hot, 0);
  const Value rank = reduce_sum(hot * (running - 1), {1});  // among its expert's routes
  const Value totals = reshape(slice(running, 0, routes - 1, routes), {count});
  const Value size_value = constant(graph, DType::kI32, double(size));
  const Value wanted = div(totals + double(size - 1), size_value);  // blocks an expert needs
  const Value ends = cumsum(wanted, 0);
  blocks.used = reshape(slice(ends, 0, experts - 1, experts), {});
  const Value first_line = (ends - wanted) * double(size);  // [count]
  blocks.line_of_route = take_rows(first_line, flat) + rank;
  const Value token =
      div(iota(graph, DType::kI32, {routes}, 0), constant(graph, DType::kI32, double(k)));
  const Value empty = fill(graph, DType::kI32, {blocks.blocks * size, 1}, double(N));
  blocks.token_of_line = reshape(put_rows(empty, blocks.line_of_route, reshape(token, {routes, 1})),
                                 {blocks.blocks * size});
  const Value block = iota(graph, DType::kI32, {blocks.blocks, count}, 0);
  const Value before = convert(compare(block, Compare::kGe, expand_dims(ends, 0)), DType::kI32);
  blocks.expert_of_block =
      minimum(reduce_sum(before, {1}), constant(graph, DType::kI32, double(experts - 1)));
  return blocks;
}

int64_t block_size(int64_t routes, int64_t experts) {
  int64_t size = 1;
  while (size < 64 && size * 2 * experts <= routes) size *= 2;
  return size;
}

}  // namespace

Value mix_experts(Step& step, Value x, const Routes& routes, const ExpertBank& bank) {
  const int64_t N = x.dim(0), k = routes.experts.dim(1);
  const int64_t E = bank.out.weight.dim(0), size = block_size(N * k, E);
  Graph& graph = x.graph();
  const Blocks blocks = arrange(routes, E, size);
  std::vector<Value> carried{fill(graph, DType::kF32, {blocks.blocks * size, bank.out.out}, 0),
                             pad(x, 0, 0, 1), blocks.token_of_line, blocks.expert_of_block};
  const std::vector<Value> arrays = arrays_of(bank);
  carried.insert(carried.end(), arrays.begin(), arrays.end());
  const auto compute_block = [&](Value index, std::span<const Value> a) {
    const Value zero = constant(graph, DType::kI32, 0);
    const Value expert = reshape(dynamic_slice(a[3], {index}, {1}), {});
    const Value begin = index * double(size);
    const Value tokens = dynamic_slice(a[2], {begin}, {size});
    const Value y = one_expert(step, take_rows(a[1], tokens), expert, bank, a.subspan(4));
    std::vector<Value> next(a.begin(), a.end());
    next[0] = dynamic_update_slice(a[0], y, {begin, zero});
    return next;
  };
  std::vector<Value> done;
  if (blocks.blocks == 1) {
    // A lone block needs no loop, and IREE cannot compile one: it drops from the loop what a single
    // turn does not change.
    done = compute_block(constant(graph, DType::kI32, 0), carried);
    done[0] = select(compare(blocks.used, Compare::kGt, 0), done[0], carried[0]);
  } else {
    done = for_loop(blocks.used, carried, compute_block);
  }
  const Value lines = reshape(take_rows(done[0], blocks.line_of_route), {N, k, bank.out.out});
  return reduce_sum(lines * expand_dims(routes.weights, -1), {1});
}

Value naive_mix_experts(Step& step, Value x, const Routes& routes, const ExpertBank& bank) {
  const int64_t E = bank.out.weight.dim(0);
  Value share = reduce_sum(one_hot(routes.experts, E) * expand_dims(routes.weights, -1), {1});
  if (routes.valid.valid())
    share = select(expand_dims(routes.valid, 1), share, constant(x.graph(), DType::kF32, 0));
  const std::vector<Value> arrays = arrays_of(bank);
  Value sum;
  for (int64_t e = 0; e < E; ++e) {
    const Value y = one_expert(step, x, constant(x.graph(), DType::kI32, double(e)), bank, arrays) *
                    slice(share, 1, e, e + 1);
    sum = e == 0 ? y : sum + y;
  }
  return sum;
}

ExpertBank gated_experts(Step& step, const std::string& prefix, int64_t experts, int64_t hidden,
                         int64_t inner, std::function<Value(Value)> act, const ExpertNames& names) {
  const auto matrix = [&](const std::string& part, int64_t in, int64_t out) {
    std::vector<std::string> tensors;
    for (int64_t e = 0; e < experts; ++e)
      tensors.push_back(fmt::format("{}.{}.{}.weight", prefix, e, part));
    return expert_matrix(step, prefix + "." + part, tensors, in, out);
  };
  return ExpertBank{{matrix(names.gate, hidden, inner), matrix(names.up, hidden, inner)},
                    matrix(names.down, inner, hidden),
                    {},
                    {},
                    [act = std::move(act)](const std::vector<Value>& inner_values) {
                      return act(inner_values[0]) * inner_values[1];
                    }};
}

}  // namespace continuo::ops

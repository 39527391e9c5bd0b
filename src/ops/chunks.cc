#include "ops/chunks.h"

#include <algorithm>

namespace continuo::ops {
namespace {

constexpr int64_t kDenseBlock = 16;  // inverted as masked products of whole blocks
constexpr int64_t kSmallBlock = 4;   // products of fewer columns are cheaper as sums
constexpr double kSafeRange = 40;    // of logarithms: e^20 up and down leaves float32 all its bits
constexpr double kGone = -1e30;      // exp gives an exact 0

bool power_of_two(int64_t n) { return n > 0 && (n & (n - 1)) == 0; }

// [[upper, 0], [below, lower]] of [...,s,s] blocks.
Value join_blocks(Value upper, Value below, Value lower) {
  const Value none = fill(upper.graph(), upper.dtype(), upper.shape(), 0);
  return concat({concat({upper, none}, -1), concat({below, lower}, -1)}, -2);
}

}  // namespace

Value index_mask(Graph& graph, int64_t size, Compare how) {
  const Value row = iota(graph, DType::kI32, {size, size}, 0);
  const Value column = iota(graph, DType::kI32, {size, size}, 1);
  return compare(row, how, column);
}

int64_t chunk_size(int64_t columns, int64_t wanted) {
  check(power_of_two(wanted), "chunk_size", "wanted a power of two, got {}", wanted);
  int64_t size = 2;
  while (size < columns && size < wanted) size *= 2;
  return size;
}

Value to_chunks(Value x, int64_t chunk) {
  const int64_t R = x.dim(0), T = x.dim(1), H = x.dim(2), D = x.dim(3);
  const int64_t n = (T + chunk - 1) / chunk;
  if (n * chunk > T) x = pad(x, 1, 0, n * chunk - T);
  return reshape(transpose(reshape(x, {R, n, chunk, H, D}), {1, 0, 3, 2, 4}), {n, R * H, chunk, D});
}

Value from_chunks(Value x, int64_t rows, int64_t columns) {
  const int64_t n = x.dim(0), H = x.dim(1) / rows, C = x.dim(2), D = x.dim(3);
  const Value line = transpose(reshape(x, {n, rows, H, C, D}), {1, 0, 3, 2, 4});
  return slice(reshape(line, {rows, n * C, H, D}), 1, 0, columns);
}

namespace {

Value at(Value array, Value index) {
  std::vector<Value> starts(size_t(array.rank()), constant(array.graph(), DType::kI32, 0));
  starts[0] = index;
  std::vector<int64_t> sizes = array.shape().dims();
  sizes[0] = 1;
  const Value one = dynamic_slice(array, starts, sizes);
  return reshape(one, Shape(std::vector<int64_t>(sizes.begin() + 1, sizes.end())));
}

Value put(Value array, Value index, Value line) {
  std::vector<Value> starts(size_t(array.rank()), constant(array.graph(), DType::kI32, 0));
  starts[0] = index;
  return dynamic_update_slice(array, expand_dims(line, 0), starts);
}

// [a,b,...] <-> [b,a,...]
Value swap_first(Value x) {
  std::vector<int64_t> order{1, 0};
  for (int64_t i = 2; i < x.rank(); ++i) order.push_back(i);
  return transpose(x, order);
}

std::vector<Type> type_list(const std::vector<Value>& values) {
  std::vector<Type> types;
  for (Value value : values) types.push_back(value.type());
  return types;
}

}  // namespace

Value live_chunks(Value valid, int64_t chunk, int64_t heads) {
  if (!valid.valid()) return {};
  const Value columns = to_chunks(reshape(valid, {valid.dim(0), valid.dim(1), 1, 1}), chunk);
  const Value first = slice(columns, 2, 0, 1);  // columns are valid from the left: [n,R,1,1]
  return repeat(reshape(first, {first.dim(0), first.dim(1)}), 1, heads);
}

std::pair<Value, Value> scan_chunks(Value carried, const std::vector<Value>& arrays,
                                    const ScanBody& body, const ScanOptions& options) {
  Graph& graph = carried.graph();
  const size_t count = arrays.size();
  const int64_t n = arrays.at(0).dim(0);
  const bool has_live = options.live.valid();
  // [arrays, shared, live] -> {carried, out} after chunk `index`.
  const auto turn = [&](Value old, Value index, std::span<const Value> all) {
    std::vector<Value> slices;
    for (Value array : all.first(count)) slices.push_back(at(array, index));
    for (size_t i = 0; i < options.shared.size(); ++i) slices.push_back(all[count + i]);
    const auto [next, out] = body(old, slices);
    if (!has_live) return std::pair(next, out);
    std::vector<int64_t> ones(size_t(old.rank()), 1);
    ones[0] = old.dim(0);
    return std::pair(select(reshape(at(all.back(), index), Shape(ones)), next, old), out);
  };
  Values all = arrays;
  all.insert(all.end(), options.shared.begin(), options.shared.end());
  if (has_live) all.push_back(options.live);
  if (n == 1) {
    const auto [last, out] = turn(carried, constant(graph, DType::kI32, 0), all);
    return {last, expand_dims(out, 0)};
  }
  // A region that is thrown away tells the type of what a chunk gives.
  Values arguments = all;
  arguments.insert(arguments.begin(), {carried, constant(graph, DType::kI32, 0)});
  const Type part = graph
                        .region(type_list(arguments),
                                [&](std::span<const Value> v) {
                                  return Values{turn(v[0], v[1], v.subspan(2)).second};
                                })
                        .results.at(0);
  std::vector<int64_t> sizes = part.shape.dims();
  sizes.insert(sizes.begin(), n);
  Values initial{carried, fill(graph, part.dtype, Shape(sizes), 0)};
  initial.insert(initial.end(), all.begin(), all.end());
  const Values done = for_loop(constant(graph, DType::kI32, double(n)), initial,
                               [&](Value index, std::span<const Value> v) {
                                 const auto [next, out] = turn(v[0], index, v.subspan(2));
                                 Values result{next, put(v[1], index, out)};
                                 result.insert(result.end(), v.begin() + 2, v.end());
                                 return result;
                               });
  return {done[0], done[1]};
}

std::pair<Value, Value> scan_columns(Value state, const std::vector<Value>& arrays,
                                     const ScanBody& body, const ScanOptions& options) {
  std::vector<Value> columns;
  for (Value array : arrays) columns.push_back(swap_first(array));
  const Value live = options.live.valid() ? swap_first(options.live) : Value();
  const auto [last, out] = scan_chunks(state, columns, body, {live, options.shared});
  return {last, swap_first(out)};
}

std::pair<Value, Value> scan_spans(Value state, const std::vector<Value>& arrays, int64_t span,
                                   const ScanBody& body, const ScanOptions& options) {
  const int64_t R = arrays.at(0).dim(0), T = arrays.at(0).dim(1), n = (T + span - 1) / span;
  std::vector<Value> spans;
  for (Value array : arrays) {
    std::vector<int64_t> sizes = array.shape().dims();
    sizes[1] = span;
    sizes.insert(sizes.begin() + 1, n);
    spans.push_back(swap_first(reshape(pad(array, 1, 0, n * span - T), Shape(sizes))));
  }
  const auto [last, out] =
      scan_chunks(state, spans, body, {live_chunks(options.live, span, 1), options.shared});
  std::vector<int64_t> sizes = out.shape().dims();  // [n,R,span,...]
  sizes.erase(sizes.begin());
  sizes[0] = R;
  sizes[1] = n * span;
  return {last, slice(reshape(swap_first(out), Shape(sizes)), 1, 0, T)};
}

ChunkPlan chunk_plan(const Target& target) {
  // A CPU gains nothing from more products at once, a GPU from fewer and larger launches.
  return target.platform == "cpu" ? ChunkPlan{32, 128} : ChunkPlan{64, 0};
}

namespace {

// Inverses of I - lower for blocks that are inverted whole: lower:[B,s,s].
Value invert_dense(Value lower) {
  Graph& graph = lower.graph();
  const int64_t size = lower.dim(-1);
  const Value row = iota(graph, DType::kI32, {size, size}, 0);
  const Value column = iota(graph, DType::kI32, {size, size}, 1);
  Value inverse = convert(compare(row, Compare::kEq, column), DType::kF32);
  for (int64_t half = 1; half < size; half *= 2) {
    // What joins the two halves of each block of 2 * half.
    const auto block = [&](Value index, int64_t of) {
      return div(index, fill(graph, DType::kI32, {size, size}, double(of)));
    };
    const Value joins =
        logical_and(compare(block(row, 2 * half), Compare::kEq, block(column, 2 * half)),
                    compare(block(row, half), Compare::kGt, block(column, half)));
    const Value link = select(joins, lower, constant(graph, DType::kF32, 0));
    if (half == 1) {
      inverse = inverse + link;
      continue;
    }
    inverse = inverse + einsum("bij,bjk->bik", einsum("bij,bjk->bik", inverse, link), inverse);
  }
  return inverse;
}

}  // namespace

Value unit_lower_inverse(Value lower) {
  const int64_t C = lower.dim(-1), B = lower.shape().elements() / (C * C);
  check(lower.rank() >= 2 && lower.dim(-2) == C && power_of_two(C), "unit_lower_inverse",
        "wanted [...,C,C] with C a power of two, got {}", lower.describe());
  const Value all = reshape(lower, {B, C, C});
  // [B,1,s,s] below or on the diagonal, `below` blocks lower.
  const auto block = [&](int64_t row, int64_t below, int64_t size) {
    const Value rows = slice(all, 1, (row + below) * size, (row + below + 1) * size);
    return expand_dims(slice(rows, 2, row * size, (row + 1) * size), 1);
  };
  int64_t size = std::min(C, kDenseBlock);
  std::vector<Value> diagonal;
  for (int64_t i = 0; i < C / size; ++i) diagonal.push_back(block(i, 0, size));
  Value inverse = invert_dense(reshape(concat(diagonal, 1), {B * C / size, size, size}));
  for (; size < C; size *= 2) {
    const int64_t pairs = C / size / 2;
    std::vector<Value> links;
    for (int64_t i = 0; i < pairs; ++i) links.push_back(block(2 * i, 1, size));
    const Value halves = reshape(inverse, {B * pairs, 2, size, size});
    const Value upper = reshape(slice(halves, 1, 0, 1), {B * pairs, size, size});
    const Value under = reshape(slice(halves, 1, 1, 2), {B * pairs, size, size});
    const Value link = reshape(concat(links, 1), {B * pairs, size, size});
    const Value below = einsum("bij,bjk->bik", einsum("bij,bjk->bik", under, link), upper);
    inverse = join_blocks(upper, below, under);
  }
  return reshape(inverse, lower.shape());
}

namespace {

// One decay for all of K: whole matrices, then a factor an element.
DecayedProducts scalar_products(const std::vector<Value>& rows, const std::vector<Value>& columns,
                                Value g) {
  Graph& graph = g.graph();
  const int64_t B = g.dim(0), C = g.dim(1);
  const Value earlier = index_mask(graph, C, Compare::kGt);  // [i,l]: l < i
  const Value ones = convert(earlier, DType::kF32);
  // g[l] where l > j, summed over l < i: sums of one sign, by one matrix product.
  const Value later = g * ones;  // [B,l,j]
  const Value sums = einsum("il,blj->bij", ones, later);
  const Value decay = exp(select(earlier, sums, constant(graph, DType::kF32, kGone)));
  DecayedProducts result;
  for (Value x : rows) {
    std::vector<Value> line;
    for (Value y : columns) line.push_back(einsum("bik,bjk->bij", x, y) * decay);
    result.between.push_back(line);
  }
  const Value flat = reshape(g, {B, C});
  result.before = expand_dims(exp(einsum("il,bl->bi", ones, flat)), -1);
  result.after = expand_dims(exp(reduce_sum(later, {1})), -1);
  result.whole = exp(reduce_sum(g, {1}, true));
  return result;
}

// x:[B,C,K] as blocks of `size`: its even or odd ones, [B,C/(2 size),size,K].
Value half_of(Value x, int64_t size, int64_t odd) {
  const int64_t B = x.dim(0), C = x.dim(1), K = x.dim(2), pairs = C / size / 2;
  return reshape(slice(reshape(x, {B, pairs, 2, size, K}), 2, odd, odd + 1), {B, pairs, size, K});
}

// The halves of each block side by side again: [B,C,K].
Value rejoin(Value even, Value odd) {
  const int64_t B = even.dim(0), pairs = even.dim(1), size = even.dim(2), K = even.dim(3);
  return reshape(concat({expand_dims(even, 2), expand_dims(odd, 2)}, 2), {B, 2 * pairs * size, K});
}

// x:[B,p,X,K] y:[B,p,Y,K] -> [B,p,X,Y]
Value block_products(Value x, Value y, int64_t size) {
  if (size >= kSmallBlock) return einsum("bpxk,bpyk->bpxy", x, y);
  return reduce_sum(expand_dims(x, 3) * expand_dims(y, 2), {-1});
}

// A decay a channel: the blocks between the halves of blocks of doubling size. A row sees the
// decays before it in its half, a column those after it in its own.
DecayedProducts channel_products(const std::vector<Value>& rows, const std::vector<Value>& columns,
                                 Value g) {
  Graph& graph = g.graph();
  const int64_t B = g.dim(0), C = g.dim(1), K = g.dim(2);
  const int64_t X = int64_t(rows.size()), Y = int64_t(columns.size());
  Value before = fill(graph, DType::kF32, g.shape(), 0), after = before;
  Value total = g;  // of each block: [B,C/size,K]
  Value products = fill(graph, DType::kF32, {B, C, X, Y, 1, 1}, 0);
  for (int64_t size = 1; size < C; size *= 2) {
    const int64_t pairs = C / size / 2;
    const Value row_decay = exp(half_of(before, size, 1));
    const Value column_decay = exp(half_of(after, size, 0));
    std::vector<Value> xs, ys;
    for (Value x : rows) xs.push_back(half_of(x, size, 1) * row_decay);
    for (Value y : columns) ys.push_back(half_of(y, size, 0) * column_decay);
    const Value block = block_products(concat(xs, 2), concat(ys, 2), size);
    const Value below = transpose(reshape(block, {B, pairs, X, size, Y, size}), {0, 1, 2, 4, 3, 5});
    const Value halves = reshape(products, {B, pairs, 2, X, Y, size, size});
    const auto half = [&](int64_t odd) {
      return reshape(slice(halves, 2, odd, odd + 1), {B, pairs, X, Y, size, size});
    };
    products = join_blocks(half(0), below, half(1));
    const Value totals = reshape(total, {B, pairs, 2, K});
    const Value left = slice(totals, 2, 0, 1), right = slice(totals, 2, 1, 2);
    before = rejoin(half_of(before, size, 0), half_of(before, size, 1) + left);
    after = rejoin(half_of(after, size, 0) + right, half_of(after, size, 1));
    total = reshape(left + right, {B, pairs, K});
  }
  DecayedProducts result{{}, exp(before), exp(after), exp(total)};
  for (int64_t x = 0; x < X; ++x) {
    std::vector<Value> line;
    for (int64_t y = 0; y < Y; ++y)
      line.push_back(reshape(slice(slice(products, 2, x, x + 1), 3, y, y + 1), {B, C, C}));
    result.between.push_back(line);
  }
  return result;
}

// Decays of little range: rows scaled from the chunk's middle on, columns up to it.
DecayedProducts bounded_products(const std::vector<Value>& rows, const std::vector<Value>& columns,
                                 Value g) {
  Graph& graph = g.graph();
  const int64_t B = g.dim(0), C = g.dim(1);
  const int64_t X = int64_t(rows.size()), Y = int64_t(columns.size());
  const Value earlier = index_mask(graph, C, Compare::kGt);
  const Value before = einsum("il,blk->bik", convert(earlier, DType::kF32), g);
  const Value middle = slice(before, 1, C / 2, C / 2 + 1), total = reduce_sum(g, {1}, true);
  const Value row_decay = exp(before - middle), column_decay = exp(middle - before - g);
  std::vector<Value> xs, ys;
  for (Value x : rows) xs.push_back(x * row_decay);
  for (Value y : columns) ys.push_back(y * column_decay);
  const Value all = einsum("bxk,byk->bxy", concat(xs, 1), concat(ys, 1));
  DecayedProducts result{{}, exp(before), exp(total - before - g), exp(total)};
  for (int64_t x = 0; x < X; ++x) {
    const std::vector<Value> line =
        split(slice(all, 1, x * C, (x + 1) * C), 2, std::vector<int64_t>(size_t(Y), C));
    result.between.emplace_back();
    for (Value product : line)
      result.between.back().push_back(
          select(earlier, product, fill(graph, DType::kF32, {B, C, C}, 0)));
  }
  return result;
}

}  // namespace

DecayedProducts decayed_products(const std::vector<Value>& rows, const std::vector<Value>& columns,
                                 Value g, double lowest) {
  const int64_t C = g.dim(1);
  check(g.rank() == 3 && power_of_two(C), "decayed_products",
        "wanted g:[B,C,K] with C a power of two, got {}", g.describe());
  for (const auto* side : {&rows, &columns})
    for (Value x : *side)
      check(x.rank() == 3 && x.dim(0) == g.dim(0) && x.dim(1) == C &&
                (g.dim(2) == 1 || g.dim(2) == x.dim(2)),
            "decayed_products", "wanted [B,C,K] beside g {}, got {}", g.describe(), x.describe());
  if (-lowest * double(C) <= kSafeRange) return bounded_products(rows, columns, g);
  return g.dim(2) == 1 && rows[0].dim(2) > 1 ? scalar_products(rows, columns, g)
                                             : channel_products(rows, columns, g);
}

std::pair<Value, Value> scan_low_rank(const LowRankChunks& chunks, Value state) {
  std::vector<Value> arrays{chunks.into_u, chunks.local_u, chunks.read,
                            chunks.mix,    chunks.write,   chunks.whole};
  const bool has_extra = chunks.extra.valid();
  if (has_extra) arrays.push_back(chunks.extra);
  const auto body = [&](Value s, const std::vector<Value>& at) {
    const Value u = at[1] - einsum("bck,bkv->bcv", at[0], s);
    const Value sources = has_extra ? concat({u, at[6]}, 1) : u;
    const Value out = einsum("bck,bkv->bcv", at[2], s) + einsum("bcj,bjv->bcv", at[3], sources);
    return std::pair(at[5] * s + einsum("bjk,bjv->bkv", at[4], sources), out);
  };
  return scan_chunks(state, arrays, body, {chunks.live, {}});
}

}  // namespace continuo::ops

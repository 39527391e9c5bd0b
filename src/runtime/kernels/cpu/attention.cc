#include "runtime/kernels/cpu/attention.h"

#include <algorithm>

#include "runtime/kernels/cpu/attention_spans.h"

namespace continuo::runtime::kernels {

namespace {

// Below so many whole queries' worth of parts, and up to so much memory, parts are cut by spans.
constexpr int64_t kManyParts = 32;
constexpr int64_t kMostPartial = int64_t{1} << 24;  // floats

struct Cut {
  int64_t blocks, each;  // of a row's queries
};
Cut cut(int64_t queries) {
  const int64_t blocks = (queries + kQueries - 1) / kQueries;
  return {blocks, blocks == 0 ? 0 : (queries + blocks - 1) / blocks};
}

Softmax softmax_at(float* memory, int64_t queries) {
  return {memory, memory + queries, memory + 2 * queries};
}

}  // namespace

Attention::Attention(const AttentionCall& call) : call_(call) {
  const int64_t G = call.Hq / call.Hk;
  int64_t whole = 0, floats = 0;
  for (int64_t row = 0; row < call.R; ++row) {
    const int64_t blocks = cut(call.length[row] * G).blocks;
    whole += blocks * call.Hk;
    const int64_t spans = (call.start[row] + call.length[row]) / kAttentionSpan + 2;
    floats += call.Hk * spans * partial_size(call.length[row] * G);
  }
  const bool split = whole < kManyParts && floats <= kMostPartial;
  for (int64_t row = 0; row < call.R; ++row) add_row(row, split);
  int64_t size = 0;
  for (Part& part : parts_)
    if (part.offset == 0) {
      part.offset = size;
      size += partial_size(part.count);
    }
  partial_.resize(static_cast<size_t>(size));
}

int64_t Attention::partial_size(int64_t queries) const { return queries * (2 + padded(call_.Dv)); }

void Attention::add_row(int64_t row, bool split) {
  const int64_t G = call_.Hq / call_.Hk, start = call_.start[row];
  const auto [blocks, each] = cut(call_.length[row] * G);
  for (int64_t head = 0; head < call_.Hk; ++head)
    for (int64_t first = 0; first < call_.length[row] * G; first += each) {
      const int64_t count = std::min(each, call_.length[row] * G - first);
      const int64_t end = start + (first + count - 1) / G + 1;
      const int64_t begin =
          call_.window > 0 ? std::max<int64_t>(0, start + first / G - call_.window + 1) : 0;
      products_ += count * (end - begin) * (call_.D + call_.Dv);
      const bool one = begin / kAttentionSpan == (end - 1) / kAttentionSpan;
      if (!split || one) {
        parts_.push_back({row, head, first, count, begin, end, -1});
        continue;
      }
      for (int64_t from = begin; from < end; from = (from / kAttentionSpan + 1) * kAttentionSpan)
        parts_.push_back({row, head, first, count, from,
                          std::min(end, (from / kAttentionSpan + 1) * kAttentionSpan), 0});
    }
}

void Attention::run(int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    const Part& part = parts_[static_cast<size_t>(i)];
    const Scratch scratch(call_, part.count);
    const bool whole = part.offset < 0;
    const Softmax out =
        whole ? scratch.total : softmax_at(partial_.data() + part.offset, part.count);
    attend(call_, part, scratch, out);
    if (whole) write(call_, part, out);
  }
}

void Attention::finish() {
  for (size_t i = 0; i < parts_.size();) {
    const Part& first = parts_[i++];
    if (first.offset < 0) continue;
    const Softmax total = softmax_at(partial_.data() + first.offset, first.count);
    for (; i < parts_.size() && parts_[i].begin == parts_[i - 1].end &&
           parts_[i].first == first.first && parts_[i].head == first.head &&
           parts_[i].row == first.row;
         ++i)
      merge(softmax_at(partial_.data() + parts_[i].offset, first.count), total, first.count,
            padded(call_.Dv));
    write(call_, first, total);
  }
  const int64_t line = call_.Hq * call_.Dv;
  for (int64_t row = 0; row < call_.R; ++row)
    std::fill(call_.y + (row * call_.T + call_.length[row]) * line,
              call_.y + (row + 1) * call_.T * line, 0.0f);
}

}  // namespace continuo::runtime::kernels

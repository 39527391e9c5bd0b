// Weights: a model's tensors on the device, loaded once and shared by every graph of the model.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/tensor_source.h"
#include "ops/step.h"
#include "runtime/executor.h"

namespace continuo::engine {

// Owned by a Stepper's owner; one thread. `source` and `executor` must outlive it: on a CPU the
// device may read a tensor where it lies in the mapped file.
class Weights {
 public:
  Weights(runtime::Executor& executor, const checkpoint::TensorSource& source)
      : executor_(executor), source_(source) {}

  // Missing or misshapen tensors are named in one error (eight of them, and how many more).
  Status check(const std::vector<ops::WeightSpec>& specs) const;
  // Loads those of `specs` that are not there yet, in several threads, tensor by tensor, letting go
  // of the file's pages. Checks them all before anything is read.
  Status load(const std::vector<ops::WeightSpec>& specs, bool show_progress);
  // nullptr where load() has not seen it.
  runtime::Buffer* find(const std::string& name) const;
  int64_t bytes() const { return bytes_; }

 private:
  struct Entry {
    HostTensor host;  // what the buffer reads in place, where it does; freed after the buffer
    runtime::BufferPtr buffer;
  };
  Status check_one(const ops::WeightSpec& spec) const;

  runtime::Executor& executor_;
  const checkpoint::TensorSource& source_;
  std::map<std::string, Entry> entries_;
  int64_t bytes_ = 0;
};

// What a weight needs on its way: read, transpose, convert, stack. Exposed for its test.
Result<HostTensor> assemble(const checkpoint::TensorSource& source, const ops::WeightSpec& spec);

}  // namespace continuo::engine

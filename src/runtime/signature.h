// The signature of a StableHLO module's public function @main, read from its text: what run()
// checks arguments against, because PJRT itself tells nothing of an executable's parameters.
#pragma once

#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"
#include "base/shape.h"

namespace continuo::runtime {

struct ArrayType {
  DType dtype = DType::kF32;
  Shape shape;
  bool operator==(const ArrayType&) const = default;
  std::string str() const;  // "f32[2,3]"
};

struct Argument {
  std::string name;  // as the text spells it, "%arg0"
  ArrayType type;
  bool donated = false;  // carries `tf.aliasing_output` (or `jax.buffer_donor`)
};

struct Signature {
  std::vector<Argument> arguments;
  std::vector<ArrayType> outputs;
  std::string text;  // the declaration alone; parse_signature(text) gives the same again
};

// kInvalidArgument, saying what it could not read, for a text without a pretty-printed
// `func.func [public] @main(...) [-> ...]` of ranked static tensors.
Result<Signature> parse_signature(const std::string& stablehlo);

}  // namespace continuo::runtime

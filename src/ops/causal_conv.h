// Causal depthwise convolution over time with a carried tail: the short conv in front of most
// recurrent mixers (Mamba's conv1d, ShortConvolution of flash-linear-attention).
#pragma once

#include <string>

#include "ops/linear.h"

namespace continuo::ops {

enum class ConvActivation { kNone, kSilu };

// y[t,c] = act(bias[c] + sum_j w[c,j] * input[t-k+1+j,c]): the last of k taps meets the newest
// input. x:[R,T,C] weight:[C,1,k] or [C,k], k >= 2; bias:[C] or empty -> [R,T,C].
// State `state`:[C,k-1] float32: the last k-1 inputs, oldest first, before bias and activation;
// zero where a sequence starts.
Value causal_conv(Step& step, Value x, Value weight, Value bias, const std::string& state,
                  ConvActivation activation);
// With the tensors NAME.weight:[C,1,k] and, by `bias`, NAME.bias.
Value causal_conv(Step& step, Value x, const std::string& name, int64_t kernel, Bias bias,
                  const std::string& state, ConvActivation activation);

}  // namespace continuo::ops

#!/bin/bash
# What serve runs on a GPU: a step at several batch sizes, the host's part of it, and the engine with each way to
# choose tokens. Ways are paired: greedy runs before and after the others.
#   bench/serve_gpu.sh
# SHAPE, DTYPE, ROWS and CONTINUO may be set.
set -euo pipefail
cd "$(dirname "$0")/.."
continuo=${CONTINUO:-build/release/continuo}
model=(--synthetic "${SHAPE:-llama-3.2-1b}" --dtype "${DTYPE:-bf16}" --context 2048)
rows=${ROWS:-1,4,8,16,32,64,256}

echo "== steps"
"$continuo" bench "${model[@]}" --rows "$rows" --prompt 200 --tokens 64 --stat best --ahead 16
for prompt in 700 1500; do
  "$continuo" bench "${model[@]}" --rows 1,8,32 --prompt $prompt --tokens 64 --stat best --ahead 16
done
echo "== the host's part"
"$continuo" bench "${model[@]}" --rows 1,64,256 --prompt 128 --tokens 600 --host
echo "== the engine"
for sampling in greedy sampled penalised logprobs greedy; do
  for slots in 8 64 256; do
    printf '%-10s' $sampling
    "$continuo" bench "${model[@]}" --serve --rows $slots --requests $slots --prompt 128 --tokens 256 \
      --sampling $sampling
  done
done

#!/bin/bash
# What changes bits on a GPU: `continuo bits` over goldens, several at once, in float32 and bfloat16, and the test of
# --deterministic on three of them. For at most LIMIT seconds; a line each to $OUT/bits_*.jsonl.
#   OUT=folder bench/bits_gpu.sh
# CONTINUO, DETERMINISTIC_TEST, GOLDENS, LIMIT and JOBS may be set.
set -euo pipefail
cd "$(dirname "$0")/.."
continuo=${CONTINUO:-build/release/continuo}
deterministic_test=${DETERMINISTIC_TEST:-build/release/tests/deterministic_test}
goldens=${GOLDENS:-llama mamba2 jamba qwen3_next rwkv7 deepseek_v3 mamba gpt_oss recurrent_gemma kimi_linear minimax \
  falcon_h1 mixtral lfm2 bamba nemotron_h plamo2 zamba2 olmo_hybrid}
limit=${LIMIT:-400} jobs=${JOBS:-12}
export CONTINUO_CACHE_DIR=${CONTINUO_CACHE_DIR:-$(mktemp -d)}
out=${OUT:?the folder for the results}
mkdir -p "$out/parts"

survey() {  # dtype golden
  "$continuo" bits --dtype "$1" --slots 1,8,32 --prompts 70 --where --json "tests/goldens/$2" \
    > "$out/parts/$1.$2" 2> "$out/parts/error.$1.$2" || true
}
deterministic() {  # golden
  "$deterministic_test" "tests/goldens/$1" > "$out/parts/deterministic.$1" 2>&1 ||
    echo "$1: failed" >> "$out/parts/deterministic.$1"
}
export -f survey deterministic
export continuo deterministic_test out

{
  for golden in llama jamba rwkv7; do echo deterministic "$golden"; done
  for golden in $goldens; do echo survey f32 "$golden"; done
  for golden in llama mamba2 jamba qwen3_next rwkv7 deepseek_v3; do echo survey bf16 "$golden"; done
} | timeout "$limit" xargs -P "$jobs" -I{} timeout "$limit" bash -c '{}' || true
for kind in f32 bf16 deterministic error; do
  (cd "$out/parts" && for part in "$kind".*; do echo "== $part"; tail -c 4000 "$part"; done) > "$out/bits_$kind.txt"
done
rm -r "$out/parts"

#!/bin/bash
# Attention without a kernel, three ways: over the whole context, over a bucket of it (what `serve`
# runs on a GPU), and in a loop over blocks up to the longest row. Prints the step's time, and what
# the compiled decode step copies out of its caches before it attends.
#   bench/attention_gpu.sh [more options of `continuo bench`]
# SHAPE, DTYPE, ROWS, CONTEXTS and CONTINUO may be set.
set -euo pipefail
cd "$(dirname "$0")/.."
continuo=${CONTINUO:-build/release/continuo}
shape=${SHAPE:-llama-3.2-1b}
dtype=${DTYPE:-bf16}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

measure() {  # form, rows, context, prompt, options...
  local form=$1 rows=$2 context=$3 prompt=$4 line
  shift 4
  local dump="$folder/$form.$rows.$context.$prompt"
  # The flags are part of the cache's key: the program is compiled once to be read, once to be timed.
  XLA_FLAGS="${XLA_FLAGS:-} --xla_dump_to=$dump --xla_dump_hlo_as_text" "$continuo" bench \
    --synthetic "$shape" --dtype "$dtype" --rows "$rows" --context "$context" --prompt "$prompt" \
    --tokens 1 --cache-dir "$folder/cache" "$@" >"$folder/log" 2>&1 || { cat "$folder/log"; return 1; }
  line=$("$continuo" bench --synthetic "$shape" --dtype "$dtype" --rows "$rows" \
    --context "$context" --prompt "$prompt" --tokens 64 --stat best --ahead 16 "$@" 2>"$folder/log" |
    tail -1) || { cat "$folder/log"; return 1; }
  printf '%-7s context %5d filled %5d  %s\n' "$form" "$context" "$prompt" "$line"
  python3 -B tests/e2e/hlo.py "$dump"
}

for context in ${CONTEXTS:-2048 16384}; do
  for rows in ${ROWS:-1 8 32}; do
    for prompt in 200 $((context / 2 - 200)); do
      measure whole "$rows" "$context" "$prompt" --attention bucket --whole "$@"
      measure bucket "$rows" "$context" "$prompt" --attention bucket "$@"
      measure loop "$rows" "$context" "$prompt" --attention loop "$@"
    done
  done
done

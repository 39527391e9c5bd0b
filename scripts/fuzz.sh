#!/usr/bin/env bash
# fuzz.sh SECONDS TARGET...: builds the fuzzers of these targets (fuzzers, fuzzers_long) and runs exactly
# them, all at once, so long; fails on a crash, a hang or a large allocation, and reports how much of the
# parsers' folders was reached.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly build=build/fuzz seconds=$1
shift
ninja -C $build "$@"
lists=("${@/#/$build/}")
mapfile -t sources < <(sort "${lists[@]/%/.txt}")  # as CMake wrote them
if ((${#sources[@]} == 0)); then
  echo "fuzz: $* builds no program" >&2
  exit 1
fi
rm -rf $build/profile
mkdir -p $build/profile $build/crashes

run_fuzzer() {  # name
  local name=$1 kept=()
  # New inputs go to the first folder, which stays in the build; the second is the kept corpus.
  local corpus=$build/corpus/$name
  mkdir -p "$corpus"
  [[ -d tests/fuzz/$name ]] && kept=("tests/fuzz/$name")
  LLVM_PROFILE_FILE=$build/profile/$name.profraw exec "$build/fuzzers/${name}_fuzz" "$corpus" \
    "${kept[@]}" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=512 \
    -artifact_prefix=$build/crashes/ -print_final_stats=1 > "$build/$name.log" 2>&1
}

names=() objects=() running=()
for source in "${sources[@]}"; do
  name=$(basename "$source" _fuzz.cc)
  names+=("$name")
  objects+=(-object "$build/fuzzers/${name}_fuzz")
  run_fuzzer "$name" &
  running+=($!)
done
echo "== fuzzing ${names[*]} for $seconds s"
trap 'kill "${running[@]}" 2> /dev/null || true' INT TERM
failed=0
for i in "${!names[@]}"; do
  name=${names[i]}
  if wait "${running[i]}"; then
    echo "$name: $(grep -E 'number_of_executed_units|^#[0-9]+.*DONE' "$build/$name.log")"
    continue
  fi
  failed=1
  tail -n 60 "$build/$name.log" >&2
  echo "fuzz: $name failed; its input is in $build/crashes (log: $build/$name.log)" >&2
done
((failed == 0)) || exit 1

echo "== coverage"
llvm-profdata merge -sparse $build/profile/*.profraw -o $build/profile/all.profdata
mapfile -t folders < <(dirname "${sources[@]}" | sort -u)
llvm-cov report "${objects[@]:1}" -instr-profile=$build/profile/all.profdata \
  -ignore-filename-regex='_fuzz\.cc$' -show-region-summary=0 -show-branch-summary=0 "${folders[@]}"

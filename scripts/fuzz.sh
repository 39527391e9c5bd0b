#!/usr/bin/env bash
# fuzz.sh SECONDS: the fuzzers of build/fuzz in turn, so long each; fails on a crash, a hang or a
# large allocation, and reports how much of the parsers' folders was reached.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly build=build/fuzz
mapfile -t sources < <(find src -name '*_fuzz.cc' | sort)
if ((${#sources[@]} == 0)); then
  echo "fuzz: there is no *_fuzz.cc in src/" >&2
  exit 1
fi
readonly seconds=$1
rm -rf $build/profile
mkdir -p $build/profile $build/crashes

objects=()
for source in "${sources[@]}"; do
  name=$(basename "$source" _fuzz.cc)
  fuzzer=$build/fuzzers/${name}_fuzz
  objects+=(-object "$fuzzer")
  # New inputs go to the first folder, which stays in the build; the second is the kept corpus.
  corpus=$build/corpus/$name
  mkdir -p "$corpus"
  kept=()
  [[ -d tests/fuzz/$name ]] && kept=("tests/fuzz/$name")
  echo "== fuzzing $name for $seconds s"
  if ! LLVM_PROFILE_FILE=$build/profile/$name.profraw "$fuzzer" "$corpus" "${kept[@]}" \
    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=512 \
    -artifact_prefix=$build/crashes/ -print_final_stats=1 > "$build/$name.log" 2>&1; then
    tail -n 60 "$build/$name.log" >&2
    echo "fuzz: $name failed; its input is in $build/crashes (log: $build/$name.log)" >&2
    exit 1
  fi
  grep -E 'number_of_executed_units|^#[0-9]+.*DONE' "$build/$name.log"
done

echo "== coverage"
llvm-profdata merge -sparse $build/profile/*.profraw -o $build/profile/all.profdata
mapfile -t folders < <(dirname "${sources[@]}" | sort -u)
llvm-cov report "${objects[@]:1}" -instr-profile=$build/profile/all.profdata \
  -ignore-filename-regex='_fuzz\.cc$' -show-region-summary=0 -show-branch-summary=0 "${folders[@]}"

#!/usr/bin/env bash
# clang-format, clang-tidy, rustfmt and clippy over the project's own files.
#   lint.sh          clang-tidy over the sources that the last 50 commits changed and an eighth of the others,
#                    another eighth for each commit
#   lint.sh --all    clang-tidy over all of them
#   lint.sh --fix    formats
# clang-tidy reads build/release/compile_commands.json.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t sources < <(find src tests bench -name '*.cc' -o -name '*.h' 2> /dev/null | sort)
PATH=$(scripts/rust-toolchain.sh):$PATH
crate() { [[ -f rust/Cargo.toml ]]; }

if [[ ${1:-} == --fix ]]; then
  clang-format -i "${sources[@]}"
  ! crate || cargo fmt --manifest-path rust/Cargo.toml
  exit
fi

echo "== clang-format: ${#sources[@]} files"
clang-format --dry-run -Werror "${sources[@]}"

# What this build leaves out (IREE, where it was not set up) has no compile command.
mapfile -t tidied < <(find src -name '*.cc' ! -name '*_test.cc' ! -name '*_fuzz.cc' | sort |
  while read -r file; do
    ! grep -qF "/$file\"" build/release/compile_commands.json || echo "$file"
  done)
readonly parts=8 recent=50
if [[ ${1:-} != --all ]] && git rev-parse --quiet --verify "HEAD~$recent" > /dev/null; then
  changed=$(git diff --name-only "HEAD~$recent" | sed 's/\.h$/.cc/')
  turn=$(git rev-list --count HEAD)
  chosen=()
  for i in "${!tidied[@]}"; do
    if ((i % parts == turn % parts)) || grep -qxF "${tidied[i]}" <<< "$changed"; then
      chosen+=("${tidied[i]}")
    fi
  done
  tidied=("${chosen[@]}")
fi
echo "== clang-tidy: ${#tidied[@]} files"
printf '%s\0' "${tidied[@]}" |
  xargs -0 -n 1 -P "$(nproc)" clang-tidy -p build/release --quiet \
    --extra-arg=-Wno-unknown-warning-option 2> build/clang-tidy.log || {
  grep -v 'warnings\? generated' build/clang-tidy.log >&2 || true
  exit 1
}

if crate; then
  echo "== rustfmt, clippy"
  cargo fmt --manifest-path rust/Cargo.toml --check
  cargo clippy --locked --release --all-targets --quiet --manifest-path rust/Cargo.toml \
    --target-dir build/rust -- -D warnings
fi

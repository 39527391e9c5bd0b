#!/usr/bin/env bash
# Prints the folder of a cargo and rustc new enough for the locked crates: the first on PATH where it
# is, else rustup's, else Debian's; exits 1 where there is none.
set -euo pipefail

readonly minimum=1.85  # edition 2024

new_enough() {  # program
  local version
  version=$("$1" --version 2> /dev/null | cut -d' ' -f2) || return 1
  [[ -n $version ]] && printf '%s\n%s\n' "$minimum" "$version" | sort -V -C
}

for folder in "$(dirname "$(command -v cargo || true)")" "${CARGO_HOME:-${HOME:-}/.cargo}/bin" /usr/bin; do
  if new_enough "$folder/cargo" && new_enough "$folder/rustc"; then
    echo "$folder"
    exit
  fi
done
echo "setup: no cargo and rustc >= $minimum found" >&2
exit 1

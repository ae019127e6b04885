#!/usr/bin/env bash
# Runs the built program under other versions of Node: scripts/smoke.sh 22 latest
set -euo pipefail
cd "$(dirname "$0")/.."
for version in "${@:-22 latest}"; do
  for one in $version; do
    out=$(mktemp -d)
    echo "== Node $one: $(npx --yes -p "node@$one" node --version)"
    npx --yes -p "node@$one" node bin/run.js demo --engine wasm --preset tiny --out "$out/wasm" --quiet
    npx --yes -p "node@$one" node bin/run.js demo --engine xla --preset tiny --out "$out/xla" --quiet
    npx --yes -p "node@$one" node bin/run.js doctor --quiet
    rm -r "$out"
  done
done

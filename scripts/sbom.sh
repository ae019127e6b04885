#!/usr/bin/env bash
# Made at release: what a published package brings along. sbom.cdx.json (CycloneDX 1.5) and licences.csv in the folder
# given; fails for a package without a known permissive licence.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-release}
mkdir -p "$out"
npm sbom --omit dev --sbom-format cyclonedx > "$out/sbom.cdx.json"
node - "$out" <<'NODE'
const { readFileSync, writeFileSync } = require('node:fs');
const folder = process.argv[2];
const { components } = JSON.parse(readFileSync(`${folder}/sbom.cdx.json`, 'utf8'));
const licenceOf = ({ licenses = [] }) =>
  licenses.map(({ license, expression }) => expression ?? license?.id ?? license?.name).join(' AND ') || 'unknown';
const rows = components.map((one) => [one.name, one.version, licenceOf(one)]).sort();
writeFileSync(`${folder}/licences.csv`, ['package,version,licence', ...rows.map((row) => row.join(','))].join('\n') + '\n');
const permissive = /^[( ]*(MIT|ISC|Apache-2\.0|BSD-[23]-Clause|0BSD|BlueOak-1\.0\.0|CC0-1\.0|Unlicense|Python-2\.0)\b/;
// Mozilla's licence covers its own files alone, which are used as they are published.
const unchanged = /^@resvg\/resvg-js/;
const others = rows.filter(([name, , licence]) => !permissive.test(licence) && !(unchanged.test(name) && licence === 'MPL-2.0'));
for (const [name, version, licence] of others) console.error(`${name}@${version}: ${licence}`);
console.log(`${rows.length} packages, ${others.length} to look at`);
process.exitCode = others.length === 0 ? 0 : 1;
NODE

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { scriptText } from './html.js';

/** In the order in which a page must run them. */
const BUNDLES = [
  ['vega', 'vega.min.js'],
  ['vega-lite', 'vega-lite.min.js'],
  ['vega-embed', 'vega-embed.min.js'],
] as const;

/** The drawing libraries as programs for inline `<script>` elements. */
export async function drawingLibraries(): Promise<string[]> {
  return Promise.all(
    BUNDLES.map(async ([name, file]) => {
      const text = await readFile(join(packageFolder(name), 'build', file), 'utf8');
      return scriptText(text);
    }),
  );
}

/** The packages export no path to their bundles: the folder is found from where Node would look. */
function packageFolder(name: string): string {
  const require = createRequire(import.meta.url);
  const folder = (require.resolve.paths(name) ?? []).find((path) => {
    try {
      return Boolean(require.resolve(join(path, name, 'package.json')));
    } catch {
      return false;
    }
  });
  if (!folder) throw new Error(`The package ${name} is not installed.`);
  return join(dirname(join(folder, name, 'package.json')));
}

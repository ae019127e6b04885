import { chmod, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { downloadWheels, keptBytes, removeDownloads } from '../../../src/engine/install/downloads.js';
import type { PluginRecipe } from '../../../src/engine/install/recipe.js';
import { RECIPES } from '../../../src/engine/install/recipes.js';
import { recipeOf } from '../../../src/engine/install/store.js';
import { sha256 } from '../../../src/io/hash.js';

const saved = { ...process.env };
let cache: string;
let scratch: string;
let recipe: PluginRecipe;
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), 'sparselaw-downloads-'));
  scratch = join(cache, 'scratch');
  process.env.SPARSELAW_CACHE_DIR = cache;
  recipe = { ...recipeOf('tensorflow'), wheels: [await serve('one'), await serve('two')] };
});
afterEach(async () => {
  process.env.PATH = saved.PATH;
  if (saved.SPARSELAW_CACHE_DIR === undefined) delete process.env.SPARSELAW_CACHE_DIR;
  else process.env.SPARSELAW_CACHE_DIR = saved.SPARSELAW_CACHE_DIR;
  await rm(cache, { recursive: true });
});

/** A wheel that the fake index below has, and its pin. */
async function serve(name: string) {
  const content = `${name} `.repeat(100);
  await mkdir(join(cache, 'index'), { recursive: true });
  await writeFile(join(cache, 'index', `${name}.whl`), content);
  return { package: name, version: '1.0', sha256: sha256(content), bytes: content.length };
}

/** Stands in for python3: notes its arguments and the wheel asked for, and fetches it from the index. */
async function fakePip(): Promise<void> {
  const bin = join(cache, 'bin');
  await mkdir(bin, { recursive: true });
  await writeFile(
    join(bin, 'python3'),
    `#!/bin/sh
echo "$@" >> ${cache}/arguments
while [ "$1" != --dest ]; do shift; done; folder=$2
for last; do :; done
name=$(sed 's/==.*//' "$last")
echo "$name" >> ${cache}/asked
cp ${cache}/index/"$name".whl "$folder/$name-1.0.whl" || { echo "ERROR: no $name"; exit 1; }
`,
  );
  await chmod(join(bin, 'python3'), 0o755);
  process.env.PATH = `${bin}:${saved.PATH}`;
}
const asked = async () => (await readFile(join(cache, 'asked'), 'utf8')).trim().split('\n');

describe.skipIf(process.platform === 'win32')('downloading', () => {
  it('goes on after the last whole wheel', async () => {
    await fakePip();
    await rm(join(cache, 'index/two.whl'));
    await expect(downloadWheels(recipe, scratch)).rejects.toMatchObject({ code: 'pip-failed' });
    expect(await keptBytes(recipe)).toBe(recipe.wheels[0].bytes);

    await serve('two');
    const told: number[] = [];
    const paths = await downloadWheels(recipe, scratch, { onBytes: (done) => told.push(done) });
    expect(await asked()).toEqual(['one', 'two', 'two']);
    const contents = await Promise.all(paths.map((path) => readFile(path, 'utf8')));
    expect(contents.map((content) => content.slice(0, 3))).toEqual(['one', 'two']);
    expect(told).toEqual([...told].sort((a, b) => a - b));
    expect(told.at(-1)).toBe(800);

    expect(await removeDownloads(recipe)).toBe(true);
    expect(await readdir(join(cache, 'plugins'))).toEqual([]);
    expect(await removeDownloads(recipe)).toBe(false);
  });

  it('downloads a damaged one again', async () => {
    await fakePip();
    const [first] = await downloadWheels(recipe, scratch);
    await truncate(first!, 10);
    await downloadWheels(recipe, scratch);
    expect(await asked()).toEqual(['one', 'two', 'one']);
    expect(await keptBytes(recipe)).toBe(800);
  });

  it('asks for the wheels of one Python whatever the one here is', async () => {
    await fakePip();
    await downloadWheels(recipe, scratch);
    expect(await readFile(join(cache, 'arguments'), 'utf8')).toContain(
      '--python-version 3.11 --implementation cp --abi cp311',
    );
  });

  it('keeps nothing that is not the pinned wheel', async () => {
    await fakePip();
    await writeFile(join(cache, 'index/one.whl'), 'another');
    await expect(downloadWheels(recipe, scratch)).rejects.toMatchObject({ code: 'hash-mismatch' });
    expect(await keptBytes(recipe)).toBe(0);
  });
});

describe('recipes', () => {
  it('name no wheel twice', () => {
    for (const { wheels } of RECIPES) expect(new Set(wheels.map((w) => w.sha256)).size).toBe(wheels.length);
  });
});

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');

/** Rooms from the ground up: a room may import itself and any room on a lower floor. */
const FLOORS: string[][] = [
  ['errors', 'median', 'progress', 'random'],
  ['io', 'files'],
  ['engine'],
  ['laws', 'model', 'corpus'],
  ['config', 'checkpoint'],
  ['training', 'sparsity', 'table', 'fit', 'report'],
  ['downstream', 'sweep', 'doctor', 'demo'],
  ['commands'],
];
/** Rooms whose users need no tensors: importing one must never load tfjs. */
const TENSOR_FREE = new Set(['laws', 'fit', 'table', 'report', 'files', 'io', 'corpus', 'config', 'random']);

interface Import {
  file: string;
  target: string;
  typeOnly: boolean;
}

function sourceFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name));
}

function roomOf(path: string): string {
  const parts = path.split('/');
  return parts[0] === 'commands' ? 'commands' : parts[1]!.replace(/\.ts$/, '');
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8');
  const statements = text.matchAll(/^(?:import|export)\s+(type\s+)?[^;'"]*?(?:from\s+)?['"]([^'"]+)['"]/gm);
  return [...statements].map((match) => ({ file, target: match[2]!, typeOnly: match[1] !== undefined }));
}

const files = [...sourceFiles('src'), ...sourceFiles('commands')];
const imports = files.flatMap(importsOf);
const local = imports
  .filter(({ target }) => target.startsWith('.'))
  .map((entry) => ({ ...entry, path: relative(root, resolve(root, dirname(entry.file), entry.target)) }));

describe('import direction', () => {
  it('reads the imports of every room', () => {
    expect(files.length).toBeGreaterThan(50);
    expect(local.length).toBeGreaterThan(100);
  });

  it('runs from the upper floors to the lower', () => {
    const floorOf = (room: string) => FLOORS.findIndex((rooms) => rooms.includes(room));
    const wrong = local
      .map((entry) => ({
        ...entry,
        from: roomOf(entry.file),
        to: roomOf(entry.path.replace(/\.js$/, '.ts')),
      }))
      .filter(({ from, to, typeOnly }) => from !== to && !typeOnly && floorOf(to) > floorOf(from))
      .map(({ file, target }) => `${file} imports ${target}`);
    expect(wrong).toEqual([]);
  });

  it('keeps what an engine is apart from what opens one: engines import engine.ts, not the index', () => {
    const opening = local.filter(
      ({ file, path }) => file.startsWith('src/engine/') && path === 'src/engine/index.js',
    );
    // It opens two engines to compare them.
    expect([...new Set(opening.map(({ file }) => file))]).toEqual(['src/engine/eager-bench.ts']);
  });

  it('runs in no circle, types included', () => {
    // What is left when files that import nothing left are taken away, again and again.
    let left = new Set(files);
    for (let size = -1; size !== left.size; ) {
      size = left.size;
      const among = left;
      const inner = local.filter(({ path }) => among.has(path.replace(/\.js$/, '.ts')));
      left = new Set(inner.map(({ file }) => file).filter((file) => among.has(file)));
    }
    expect([...left]).toEqual([]);
  });

  it('keeps oclif in commands/', () => {
    const wrong = imports.filter(
      ({ file, target }) => file.startsWith('src/') && target.startsWith('@oclif/'),
    );
    expect(wrong).toEqual([]);
  });

  it('keeps tfjs out of the rooms that analyse tables', () => {
    const wrong = imports.filter(
      ({ file, target, typeOnly }) =>
        !typeOnly && target.startsWith('@tensorflow/') && TENSOR_FREE.has(roomOf(file)),
    );
    expect(wrong).toEqual([]);
  });

  it('loads heavy modules inside run(), never at the top of a command', () => {
    const heavy = /^(@tensorflow|vega|ml-|koffi|tokenizers|@huggingface|hyparquet|csv-parse)/;
    const wrong = imports.filter(
      ({ file, target, typeOnly }) => file.startsWith('commands/') && !typeOnly && heavy.test(target),
    );
    expect(wrong).toEqual([]);
  });
});

describe('the house', () => {
  it('keeps the prescribed top level', () => {
    const usual = [
      'Makefile',
      'README.md',
      'LICENSE',
      'CHANGELOG.md',
      'CONTRIBUTING.md',
      'package-lock.json',
    ];
    const rooms = ['package.json', 'bin', 'src', 'commands', 'fixtures', 'test', 'reports', 'scripts'];
    const built = ['node_modules', 'dist', 'dist-bench', 'demo', 'runs', 'coverage', 'oclif.manifest.json'];
    const settings = /^(tsconfig.*\.json|biome\.json|knip\.json|vitest.*\.config\.ts)$/;
    const unexpected = readdirSync(root).filter(
      (name) =>
        !name.startsWith('.') && ![...usual, ...rooms, ...built].includes(name) && !settings.test(name),
    );
    expect(unexpected).toEqual([]);
  });
});

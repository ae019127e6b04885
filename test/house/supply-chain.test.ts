import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { RECIPES } from '../../src/engine/install/recipes.js';

const root = resolve(import.meta.dirname, '../..');
const read = (name: string) => readFileSync(join(root, name), 'utf8');
const manifest = JSON.parse(read('package.json'));
const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, Locked> };

interface Locked {
  version: string;
  integrity?: string;
  resolved?: string;
  license?: string;
  dev?: boolean;
  hasInstallScript?: boolean;
}

const locked = Object.entries(packages).filter(([path]) => path !== '');

describe('what is installed', () => {
  it('has an exact version wherever we name one', () => {
    for (const kind of ['dependencies', 'devDependencies', 'optionalDependencies']) {
      for (const [name, version] of Object.entries(manifest[kind]))
        expect(version, name).toMatch(/^\d+\.\d+\.\d+$/);
    }
  });

  it('is an archive with its hash', () => {
    expect(locked.length).toBeGreaterThan(100);
    for (const [path, { integrity, resolved = 'https://' }] of locked) {
      expect(integrity, path).toMatch(/^sha512-/);
      expect(resolved, path).toMatch(/^https:/);
    }
  });

  it('runs a script of its own only where that is decided', () => {
    const scripted = locked.filter(([, { hasInstallScript }]) => hasInstallScript);
    const names = scripted.map(([path]) => path.replace(/^.*node_modules\//, ''));
    expect(names.sort()).toEqual(Object.keys(manifest.allowScripts).sort());
  });

  it('has a permissive licence where it is part of the program', () => {
    const permissive =
      /^\(?(MIT|ISC|Apache-2\.0|BSD-[23]-Clause|0BSD|BlueOak-1\.0\.0|CC0-1\.0|Unlicense|Python-2\.0)\b/;
    const others = locked.filter(([, { dev, license = '' }]) => !dev && !permissive.test(license));
    // Mozilla's licence covers its own files alone, which are used as they are published.
    for (const [path, { license }] of others) {
      expect([path.startsWith('node_modules/@resvg/resvg-js'), license], path).toEqual([true, 'MPL-2.0']);
    }
  });
});

describe('what is fetched later', () => {
  it('is pinned by its SHA-256', () => {
    for (const { name, wheels, archive, librarySha256 } of RECIPES) {
      expect(librarySha256, name).toMatch(/^[0-9a-f]{64}$/);
      for (const pinned of [...wheels, ...(archive ? [archive] : [])])
        expect(pinned.sha256, pinned.package).toMatch(/^[0-9a-f]{64}$/);
    }
  });

  it('comes through `engine install` alone: nothing else speaks to the network or makes code of text', () => {
    const sources = ['src', 'commands', 'bin'].flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((name) => /\.[jt]s$/.test(name))
        .map((name) => join(folder, name)),
    );
    const reaches = /\bfetch\(|from 'node:(https?|http2|net|tls|dgram)'|\beval\(|new Function\(/;
    expect(sources.filter((file) => reaches.test(read(file)))).toEqual([]);
    const starts = /['"`](pip|npm)['"`]|-m['"], ['"]pip/;
    for (const file of sources.filter((name) => starts.test(read(name)))) {
      expect(file).toMatch(/^(src\/engine\/install|src\/doctor|commands\/engine)\//);
    }
  });
});

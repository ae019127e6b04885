import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runScript } from './child.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-plugin-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** Opens a file as a plugin in a process of its own and prints the error. */
const open = (path: string) =>
  runScript(
    `try { await openPjrt({ pluginPath: ${JSON.stringify(path)}, device: 'cpu' }); console.log('opened'); }
     catch (e) { console.log(JSON.stringify({ code: e.code, status: e.exitStatus, message: e.message })); }`,
  );

describe('a file that is no plugin', () => {
  it('is refused when missing, text, or cut off', async () => {
    const text = join(folder, 'text.so');
    await writeFile(text, 'not a library');
    const cut = join(folder, 'cut.so');
    await writeFile(cut, Buffer.concat([Buffer.from('7f454c4602010100', 'hex'), Buffer.alloc(100)]));
    for (const path of [join(folder, 'missing.so'), text, cut]) {
      const result = await open(path);
      expect(result).toMatchObject({ status: 0, signal: null });
      const error = JSON.parse(result.stdout);
      expect(error).toMatchObject({ code: 'plugin-unloadable', status: 4 });
      expect(error.message).toContain(path);
    }
  });

  it('is refused when it is another library', async () => {
    const other = fileURLToPath(
      new URL('../../../../node_modules/@koromix/koffi-linux-x64/linux_x64/koffi.node', import.meta.url),
    );
    if (process.platform !== 'linux' || !existsSync(other)) return;
    const error = JSON.parse((await open(other)).stdout);
    expect(error).toMatchObject({ code: 'plugin-unusable', status: 4 });
    expect(error.message).toContain('it exports no function GetPjrtApi');
  });
});

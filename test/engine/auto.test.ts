import { expect, it } from 'vitest';
import { openAuto } from '../../src/engine/auto.js';
import type { Engine, EngineName, EngineOptions } from '../../src/engine/index.js';
import { engineError } from '../../src/errors.js';

/** Opens only what `works` lists, e.g. `xla cpu`; remembers what was tried. */
function opener(works: string[]) {
  const tried: string[] = [];
  const open = async (name: EngineName, { device }: EngineOptions): Promise<Engine> => {
    tried.push(`${name} ${device}`);
    if (!works.includes(`${name} ${device}`)) {
      throw engineError(`No ${name} for ${device}.`, {
        code: 'missing',
        suggestions: [`get ${name} ${device}`],
      });
    }
    return { name, device } as Engine;
  };
  return { tried, open };
}

it('takes the first that works of the documented order', async () => {
  const order = ['xla cuda', 'tensorflow cuda', 'xla cpu', 'tensorflow cpu', 'wasm cpu'];
  for (const [place, only] of order.entries()) {
    const { tried, open } = opener([only]);
    const engine = await openAuto(open, {}, true);
    expect(`${engine.name} ${engine.device}`).toBe(only);
    expect(tried).toEqual(order.slice(0, place + 1));
  }
});

it('asks for no GPU on a machine without one, unless told to', async () => {
  const { tried, open } = opener(['wasm cpu']);
  await openAuto(open, {}, false);
  expect(tried).toEqual(['xla cpu', 'tensorflow cpu', 'wasm cpu']);
  const other = opener(['xla cpu']);
  await expect(openAuto(other.open, { device: 'cuda' }, false)).rejects.toMatchObject({
    message: 'No xla for cuda.',
  });
  expect(other.tried).toEqual(['xla cuda', 'tensorflow cuda']);
});

it('narrows to a device', async () => {
  const { tried, open } = opener(['tensorflow cpu']);
  await openAuto(open, { device: 'cpu' }, true);
  expect(tried).toEqual(['xla cpu', 'tensorflow cpu']);
});

it('warns when a GPU stands idle, with why and what to do, but not when the CPU was asked for', async () => {
  const warnings: string[] = [];
  const onWarning = (message: string) => warnings.push(message);
  await openAuto(opener(['xla cpu']).open, { onWarning }, true);
  expect(warnings).toEqual([
    'The NVIDIA GPU of this machine stands idle: xla runs on the CPU. ' +
      'No xla for cuda. No tensorflow for cuda. Try: get xla cuda',
  ]);
  await openAuto(opener(['xla cpu']).open, { onWarning, device: 'cpu' }, true);
  await openAuto(opener(['xla cuda']).open, { onWarning }, true);
  await openAuto(opener(['xla cpu']).open, { onWarning }, false);
  expect(warnings).toHaveLength(1);
});

it('says what is in the way of xla where it runs on wasm, on machines that xla exists for', async () => {
  const warnings: string[] = [];
  const options = { onWarning: (message: string) => warnings.push(message) };
  await openAuto(opener(['wasm cpu']).open, options, false, () => false);
  expect(warnings).toEqual([]);
  await openAuto(opener(['wasm cpu']).open, options, false, () => true);
  expect(warnings).toEqual(['The engine wasm is much slower than xla. No xla for cpu. Try: get xla cpu']);
});

it('gives the first failure when nothing works, and lets bugs through', async () => {
  await expect(openAuto(opener([]).open, {}, false)).rejects.toMatchObject({ message: 'No xla for cpu.' });
  const bug = async () => {
    throw new TypeError('a bug');
  };
  await expect(openAuto(bug, {}, false)).rejects.toThrow(TypeError);
});

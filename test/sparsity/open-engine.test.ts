import { describe, expect, it } from 'vitest';
import type { Engine, EngineChoice, EngineOptions } from '../../src/engine/index.js';
import { engineError, type SparselawError } from '../../src/errors.js';
import { openMeasuringEngine } from '../../src/sparsity/open-engine.js';

/** Opens nothing and tells what it was asked for; `refuses` bfloat16 where no engine has it. */
const opener =
  (refuses = false) =>
  async (choice: EngineChoice, options: EngineOptions) => {
    if (refuses && options.precision === 'bfloat16')
      throw engineError('float32 only', { code: 'no-such-precision' });
    return { name: choice, precision: options.precision ?? 'float32' } as Engine;
  };
const precisionOf = async (choice: EngineChoice, options: EngineOptions, sizes: number[], refuses = false) =>
  (await openMeasuringEngine(choice, options, sizes, opener(refuses) as never)).precision;

describe('the precision that nobody chose', () => {
  it('is float32 up to 10⁹ parameters and bfloat16 above', async () => {
    expect(await precisionOf('auto', {}, [1e9])).toBe('float32');
    expect(await precisionOf('auto', {}, [1.1e9, 7e9])).toBe('bfloat16');
    expect(await precisionOf('xla', {}, [7e9])).toBe('bfloat16');
    expect(await precisionOf('xla', { precision: 'float32' }, [7e9])).toBe('float32');
  });

  it('stays float32 on an engine that has no other', async () => {
    expect(await precisionOf('wasm', {}, [7e9])).toBe('float32');
    expect(await precisionOf('auto', {}, [7e9], true)).toBe('float32');
  });

  it('is not shared by models on both sides of that', async () => {
    await expect(precisionOf('auto', {}, [1e8, 7e9])).rejects.toMatchObject({
      exitStatus: 2,
      code: 'mixed-precision',
    } satisfies Partial<SparselawError>);
    expect(await precisionOf('auto', { precision: 'bfloat16' }, [1e8, 7e9])).toBe('bfloat16');
  });
});

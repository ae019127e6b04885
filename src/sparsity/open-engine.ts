import { type Engine, type EngineChoice, type EngineOptions, openEngine } from '../engine/index.js';
import { EXIT, SparselawError, usageError } from '../errors.js';

/** Models of more parameters are measured in bfloat16, where an engine has it. */
export const FLOAT32_AT_MOST = 1e9;

/** What to tell about an engine once it is open. */
export type OpenedEngine = Pick<Engine, 'name' | 'precision' | 'deviceDescription'>;

/**
 * Opens an engine for models of so many parameters: in the precision asked for, else in float32 up to 10⁹ parameters
 * and in bfloat16 above.
 * @throws SparselawError (status 2) where models on both sides of that would share a precision that nobody chose;
 *   status 4 when no engine works
 */
export async function openMeasuringEngine(
  choice: EngineChoice,
  options: EngineOptions,
  parameters: readonly number[],
  open: typeof openEngine = openEngine,
): Promise<Engine> {
  const large = parameters.filter((count) => count > FLOAT32_AT_MOST).length;
  if (options.precision || large === 0) return open(choice, options);
  if (large < parameters.length) {
    throw usageError('Some of these models have more than 10⁹ parameters and some have not.', {
      code: 'mixed-precision',
      suggestions: ['Measure them apart, or give --precision float32 or bfloat16 for all.'],
    });
  }
  if (choice !== 'auto' && choice !== 'xla') return open(choice, options);
  try {
    return await open(choice, { ...options, precision: 'bfloat16' });
  } catch (error) {
    if (!(error instanceof SparselawError) || error.exitStatus !== EXIT.engine) throw error;
    return open(choice, options);
  }
}

import type { Engine } from '../engine/index.js';
import { engineError } from '../errors.js';
import { printable } from '../io/printable.js';

const FLOAT_BYTES = 4;
const gigabytes = (bytes: number) => `${(bytes / 1e9).toPrecision(3)} GB`;

/**
 * Bytes that a device can still take: its own count where it has memory of its own, else the machine's. Undefined
 * where nobody says.
 */
function freeBytes(engine: Pick<Engine, 'device' | 'memory'>): number | undefined {
  const { bytesLimit, bytesInUse = 0 } = engine.memory();
  if (bytesLimit) return bytesLimit - bytesInUse;
  return engine.device === 'cpu' ? process.availableMemory?.() : undefined;
}

/**
 * Weights are held in float32, whatever they are stored as.
 * @throws SparselawError (status 4) before anything is read, when the weights alone are more than what is free
 */
export function requireFits(
  engine: Pick<Engine, 'device' | 'deviceDescription' | 'memory'>,
  parameters: number,
  path: string,
): void {
  const [needed, free] = [parameters * FLOAT_BYTES, freeBytes(engine)];
  if (free === undefined || needed <= free) return;
  throw engineError(
    `${printable(path)}: its weights take ${gigabytes(needed)} in float32, but ${engine.deviceDescription} has ${gigabytes(Math.max(0, free))} free.`,
    { code: 'model-too-large', suggestions: ['Use a device with more memory, or end what fills this one.'] },
  );
}

import { expect, it } from 'vitest';
import { interruptionSignal } from '../../commands/_interruption.js';

it('aborts with an error of status 6, which whoever asks the signal throws', () => {
  const said: string[] = [];
  const { signal, release } = interruptionSignal((message) => said.push(message));
  try {
    expect(() => signal.throwIfAborted()).not.toThrow();
    process.emit('SIGTERM', 'SIGTERM');
    expect(() => signal.throwIfAborted()).toThrow(
      expect.objectContaining({ exitStatus: 6, message: 'Interrupted by SIGTERM.' }),
    );
    expect(said).toHaveLength(1);
  } finally {
    release();
  }
});

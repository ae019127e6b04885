import { writeSync } from 'node:fs';
import type { SparselawError } from '../../errors.js';
import type { PluginLocation } from '../install/index.js';
import { KERNEL_KINDS, type KernelKind, kernelsOf } from './kernel-choice.js';
import { agree, type KernelProbe, kernelProbe } from './kernel-probe-programs.js';
import { openPlugin } from './open.js';
import { withOwnKernels } from './own-kernels.js';
import type { PjrtClient } from './pjrt/index.js';
import type { GraphProgram } from './rebuild.js';
import { emitModule } from './stablehlo.js';

/**
 * Run by `rightKinds` with a plugin's location as JSON: prints a line for each kind whose kernel gives what its plain
 * form gives, as soon as that is known, so that those before a kind that ends the process are known too.
 */

async function execute(client: PjrtClient, program: GraphProgram, { values }: KernelProbe) {
  const spec = ({ type }: GraphProgram['results'][number]) => ({
    elementType: type.element,
    shape: type.shape,
  });
  const text = emitModule(
    program.parameters.map((node, i) => ({ node, name: `p${i}` })),
    program.results.map((node, i) => ({ node, name: `r${i}` })),
    { name: 'probe' },
  );
  const inputs = program.parameters.map(spec);
  const source = { name: 'probe', text, inputs, outputs: program.results.map(spec), donated: [] };
  const executable = await client.compile(source, { cache: false });
  const given = values.map((each, i) => client.upload(each, inputs[i]!.elementType, inputs[i]!.shape));
  const results = await Promise.all(executable.execute(given).map((each) => each.read()));
  return { results: results as Float32Array[], text };
}

async function isRight(client: PjrtClient, kind: KernelKind): Promise<boolean> {
  const probe = kernelProbe(kind);
  const choose = kernelsOf([kind]);
  const own = await execute(client, withOwnKernels(probe.program, choose), probe);
  const plain = await execute(client, probe.program, probe);
  if (own.text === plain.text) return false;
  return probe.within.every((within, i) => agree(own.results[i]!, plain.results[i]!, within));
}

// As programs in bfloat16 are compiled: what is held in it is stored in it.
const client = await openPlugin(JSON.parse(process.argv[2]!) as PluginLocation, {
  xla_allow_excess_precision: false,
});
let refused = false;
for (const kind of KERNEL_KINDS) {
  try {
    if (await isRight(client, kind)) writeSync(1, `${kind}\n`);
  } catch (error) {
    // A kind that is not compiled says nothing about the next; another time it may be.
    if ((error as SparselawError).code !== 'compile-failed') throw error;
    refused = true;
  }
}
process.exit(refused ? 1 : 0);

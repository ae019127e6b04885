import { execFile } from 'node:child_process';
import { type Environment, type TensorflowSettings, tensorflowEnvironment } from './environment.js';
import type { TensorflowLocation } from './location.js';

/** What a process of its own saw when it loaded TensorFlow and multiplied two matrices. */
export type Probe =
  | {
      works: true;
      onGpu: boolean;
      version: string /** Why no GPU is used, in TensorFlow's words. */;
      whyNoGpu: string;
      gpuName: string;
    }
  | { works: false; why: string };

/** Loads the native binding alone: [[1, 2], [3, 4]]² and the sum of its elements, on the device that TensorFlow chooses. */
const SCRIPT = `
const binding = require(process.argv[1]);
const flag = (name) => ({ name, type: binding.TF_ATTR_BOOL, value: false });
const type = (name, value) => ({ name, type: binding.TF_ATTR_TYPE, value });
const element = type('T', binding.TF_FLOAT);
const run = (name, attributes, inputs) => binding.executeOp(name, [element, ...attributes], inputs, 1)[0].id;
const a = binding.createTensor([2, 2], binding.TF_FLOAT, Float32Array.of(1, 2, 3, 4));
const axes = binding.createTensor([2], binding.TF_INT32, Int32Array.of(0, 1));
const product = run('MatMul', [flag('transpose_a'), flag('transpose_b')], [a, a]);
const sum = run('Sum', [flag('keep_dims'), type('Tidx', binding.TF_INT32)], [product, axes]);
const values = [product, sum].flatMap((id) => [...binding.tensorDataSync(id)]);
console.log(JSON.stringify({ version: binding.TF_Version, onGpu: binding.isUsingGpuDevice(), values }));
`;
const EXPECTED = '7,10,15,22,54';

/** The first use of a new card may compile kernels for it. */
const TIMEOUT_MS = 180_000;

/**
 * Tries TensorFlow in a child process: where CUDA's libraries do not fit a visible GPU, or the processor lacks an
 * instruction, TensorFlow ends the process, and no error can be caught. Takes about as long as loading it, 0.3 to 2 s.
 */
export function probe(location: TensorflowLocation, settings: TensorflowSettings): Promise<Probe> {
  const variables = { ...tensorflowEnvironment(settings), TF_CPP_MIN_LOG_LEVEL: '0' };
  const options = { env: merged(variables), timeout: TIMEOUT_MS, maxBuffer: 1 << 24 };
  return new Promise((resolve) => {
    const args = ['-e', SCRIPT, location.binding];
    execFile(process.execPath, args, options, (error, stdout, stderr) => {
      if (error) return resolve({ works: false, why: whyItFailed(error, stderr) });
      resolve(readAnswer(stdout, stderr));
    });
  });
}

function merged(variables: Environment): NodeJS.ProcessEnv {
  // Options of the parent (a debugger's port, loaders) are none of the child's business.
  return { ...process.env, NODE_OPTIONS: '', ...variables };
}

function readAnswer(stdout: string, stderr: string): Probe {
  let answer: { version: string; onGpu: boolean; values: number[] };
  try {
    answer = JSON.parse(stdout.trim().split('\n').at(-1)!);
  } catch {
    return { works: false, why: `it printed ${JSON.stringify(stdout.slice(0, 200))}` };
  }
  if (answer.values.join() !== EXPECTED) {
    return { works: false, why: `it computed a product and its sum wrongly: ${answer.values.join(' ')}` };
  }
  const { version, onGpu } = answer;
  const gpuName = /name: ([^,]+), pci bus id/.exec(stderr)?.[1] ?? 'a GPU';
  return { works: true, onGpu, version, whyNoGpu: onGpu ? '' : whyNoGpu(stderr), gpuName };
}

/** Messages of its log that say why it goes without a GPU, most telling first. */
const COMPLAINTS = [
  /Could not load dynamic library '([^']+)'/,
  /Cannot dlopen some GPU libraries/,
  /Could not find cuda drivers on your machine/,
  /failed call to cuInit: .*/,
  /no CUDA-capable device is detected/,
];

function whyNoGpu(log: string): string {
  for (const complaint of COMPLAINTS) {
    const found = complaint.exec(log)?.[0];
    if (found) return found;
  }
  return 'TensorFlow found none';
}

function whyItFailed(
  error: Error & { signal?: NodeJS.Signals | null; killed?: boolean },
  log: string,
): string {
  if (error.killed) return `it did not answer within ${TIMEOUT_MS / 1000} s`;
  if (error.signal === 'SIGILL') {
    return 'this processor lacks instructions that it is built for (AVX)';
  }
  const lines = log.split('\n').map((line) => line.trim());
  const said =
    lines.find((line) => /^(\w*Error: |F\d{4} )|BadStatusOrAccess|GLIBC/.test(line)) ??
    lines.filter(Boolean).at(-1) ??
    '';
  const ended = error.signal ? `it ended with ${error.signal}` : 'it could not be loaded';
  return said ? `${ended}: ${said.replace(/^Error: /, '')}` : ended;
}

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('../../../../', import.meta.url));

export interface ChildResult {
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Starts Node with `args` at the package's root and collects what it prints. */
export function startNode(args: string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, args, { cwd: root, env: { ...process.env, ...env } });
  const result: ChildResult = { status: null, signal: null, stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => {
    result.stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    result.stderr += chunk;
  });
  const done = new Promise<ChildResult>((resolve) => {
    child.on('close', (status, signal) => resolve({ ...result, status, signal }));
  });
  return { child, done };
}

/** Runs a command of the built package. */
export const runCommand = (args: string[], env: NodeJS.ProcessEnv = {}) =>
  startNode(['bin/run.js', ...args], env).done;

/**
 * Starts a script in a process of its own, where a crash harms no test. It may use `openCpu`,
 * `square`, `values` and `spec`; the runtime is that of `npm run build`.
 */
export function startScript(body: string, env: NodeJS.ProcessEnv = {}) {
  const built = pathToFileURL(`${root}dist/src/engine/`);
  if (!existsSync(built)) throw new Error('Run `npm run build` first: child processes use dist/.');
  const script = `
    import { findPlugin } from ${JSON.stringify(new URL('install/index.js', built).href)};
    import { openPjrt } from ${JSON.stringify(new URL('xla/pjrt/index.js', built).href)};
    const openCpu = async () => {
      const plugin = await findPlugin('cpu');
      return openPjrt({ pluginPath: plugin.path, pluginHash: plugin.sha256, device: 'cpu' });
    };
    const spec = { elementType: 'f32', shape: [1024, 1024] };
    const values = new Float32Array(1024 * 1024);
    const square = { name: 'square', inputs: [spec], outputs: [spec], donated: [], text: \`module @m {
      func.func public @main(%x: tensor<1024x1024xf32>) -> tensor<1024x1024xf32> {
        %y = stablehlo.dot_general %x, %x, contracting_dims = [1] x [0] : (tensor<1024x1024xf32>, tensor<1024x1024xf32>) -> tensor<1024x1024xf32>
        return %y : tensor<1024x1024xf32>
      } }\` };
    ${body}`;
  return startNode(['--input-type=module', '-e', script], env);
}

export const runScript = (body: string, env: NodeJS.ProcessEnv = {}) => startScript(body, env).done;

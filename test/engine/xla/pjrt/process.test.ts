import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { runScript, startScript } from './child.js';
import { withoutPlugin } from './programs.js';

/** Ended by itself, said what it should, and no signal of a crash. */
const clean = (stdout: string) => ({ status: 0, signal: null, stdout, stderr: '' });

describe.skipIf(withoutPlugin)('a process that used a plugin', () => {
  it.each([
    ['opening', `await openCpu(); console.log('ok');`],
    ['compiling', `const c = await openCpu(); await c.compile(square); console.log('ok');`],
    [
      'executing, buffers left alive',
      `const c = await openCpu(); const p = await c.compile(square);
       const [y] = p.execute([c.upload(values, 'f32', [1024, 1024])]); await y.read(); console.log('ok');`,
    ],
    [
      'queueing work that nobody waits for',
      `const c = await openCpu(); const p = await c.compile(square); const x = c.upload(values, 'f32', [1024, 1024]);
       p.execute([x]); p.execute([x]); console.log('ok');`,
    ],
    ['closing', `const c = await openCpu(); await c.close(); console.log('ok');`],
  ])('ends by itself after %s', async (_, body) => {
    expect(await runScript(body)).toEqual(clean('ok\n'));
  });

  it('goes on after programs, inputs and sizes that are wrong', async () => {
    const result = await runScript(
      `const c = await openCpu();
       const codes = [];
       const failing = async (action) => { try { await action(); codes.push('none'); } catch (e) { codes.push(e.code + ' ' + e.exitStatus); } };
       const scalar = { elementType: 'f32', shape: [] };
       await failing(() => c.compile({ ...square, text: 'module @m { nonsense }' }, { cache: false }));
       await failing(() => c.compile({ ...square, text: square.text.replace('[1] x [0]', '[1] x [7]') }, { cache: false }));
       const p = await c.compile(square);
       const small = c.upload(new Float32Array(4), 'f32', [4]);
       await failing(() => p.execute([small]));
       const big = { elementType: 'f32', shape: [2 ** 38] };
       const huge = await c.compile({ name: 'huge', inputs: [scalar], outputs: [big], donated: [], text: \`module @m {
         func.func public @main(%a: tensor<f32>) -> tensor<\${2 ** 38}xf32> {
           %b = stablehlo.broadcast_in_dim %a, dims = [] : (tensor<f32>) -> tensor<\${2 ** 38}xf32>
           return %b : tensor<\${2 ** 38}xf32> } }\` }, { cache: false });
       await failing(async () => { const [b] = huge.execute([c.upload(Float32Array.of(1), 'f32', [])]); await b.ready(); });
       const [y] = p.execute([c.upload(values, 'f32', [1024, 1024])]); await y.read();
       console.log(codes.join(', ')); await c.close();`,
    );
    expect(result).toEqual(clean('compile-failed 4, compile-failed 4, bad-input 4, out-of-memory 4\n'));
  });

  it('ends at process.exit with work under way', async () => {
    const result = await runScript(
      `const c = await openCpu(); const p = await c.compile(square); const x = c.upload(values, 'f32', [1024, 1024]);
       const outs = [p.execute([x]), p.execute([x])]; void outs[1][0].read().catch(() => {}); process.exit(7);`,
    );
    expect(result).toMatchObject({ status: 7, signal: null, stderr: '' });
  });

  it('answers Ctrl-C with work under way', async () => {
    const { child, done } = startScript(
      `process.on('SIGINT', () => { console.log('stopped'); stop = true; });
       let stop = false; const c = await openCpu(); const p = await c.compile(square);
       let x = c.upload(values, 'f32', [1024, 1024]); console.log('running');
       while (!stop) { await c.room(); const [y] = p.execute([x]); x.dispose(); x = y; }
       await x.ready(); x.dispose(); console.log(c.liveBuffers);`,
    );
    await once(child.stdout, 'data');
    child.kill('SIGINT');
    expect(await done).toEqual(clean('running\nstopped\n0\n'));
  });

  it('limits the damage when buffers are forgotten', async () => {
    const result = await runScript(
      `const c = await openCpu(); for (let i = 0; i < 50; i++) c.upload(values, 'f32', [1024, 1024]);
       const before = c.liveBuffers; const { setFlagsFromString } = await import('node:v8');
       setFlagsFromString('--expose-gc'); const { runInNewContext } = await import('node:vm');
       runInNewContext('gc')(); await new Promise((r) => setTimeout(r, 50));
       console.log(before, c.liveBuffers < 5);`,
    );
    expect(result).toEqual(clean('50 true\n'));
  });
});

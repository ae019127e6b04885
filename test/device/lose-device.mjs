// Preloaded into the program (`NODE_OPTIONS=--import`): once the folder SPARSELAW_LOSE_AFTER is there, a kernel writes
// where nothing is. The driver then ends this process's use of the GPU for good, as it does when a device falls off
// the bus: every later call fails.
import { existsSync } from 'node:fs';

const after = process.env.SPARSELAW_LOSE_AFTER;
const KERNEL = [
  'module {',
  '  tt.func public @lose(%in: !tt.ptr<f32>, %out: !tt.ptr<f32>) {',
  '    %far = arith.constant 1099511627776 : i64',
  '    %nowhere = tt.addptr %out, %far : !tt.ptr<f32>, i64',
  '    %one = arith.constant 1.0 : f32',
  '    tt.store %nowhere, %one : !tt.ptr<f32>',
  '    tt.return',
  '  }',
  '}',
].join('\\0A');
const TEXT = `module @lose {
  func.func public @main(%a: tensor<32xf32>) -> tensor<32xf32> {
    %b = stablehlo.custom_call @"__gpu$xla.gpu.triton"(%a) {api_version = 4 : i32, backend_config = {debug = false,
      grid_x = 1 : i32, grid_y = 1 : i32, grid_z = 1 : i32, ir = "${KERNEL}", name = "lose", num_stages = 1 : i32,
      num_warps = 1 : i32}, operand_layouts = [dense<[0]> : tensor<1xindex>],
      result_layouts = [dense<[0]> : tensor<1xindex>]} : (tensor<32xf32>) -> tensor<32xf32>
    return %b : tensor<32xf32>
  }
}
`;

async function lose() {
  const { findPlugin } = await import('../../dist/src/engine/install/index.js');
  const { openPlugin } = await import('../../dist/src/engine/xla/open.js');
  const client = await openPlugin(await findPlugin('cuda'));
  const spec = { elementType: 'f32', shape: [32] };
  const source = { name: 'lose', text: TEXT, inputs: [spec], outputs: [spec], donated: [] };
  const program = await client.compile(source, { cache: false });
  const [result] = await program.execute([client.upload(new Float32Array(32), 'f32', [32])]);
  await result.ready();
}

if (after) {
  const watch = setInterval(() => {
    if (!existsSync(after)) return;
    clearInterval(watch);
    lose().then(
      () => console.error('the device is still there'),
      (error) => console.error(`the device is lost: ${error.message.slice(0, 200)}`),
    );
  }, 20);
  watch.unref();
}

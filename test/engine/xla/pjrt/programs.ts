import { findPlugin } from '../../../../src/engine/install/index.js';
import { openPjrt, type PjrtClient, type PjrtOptions } from '../../../../src/engine/xla/pjrt/index.js';

/** Programs small enough to read, for tests of the runtime. */
export const vector = (length: number) => ({ elementType: 'f32', shape: [length] }) as const;
export const scalar = { elementType: 'f32', shape: [] } as const;

/** (state, x) → (state + x written over state, sum of it). */
export const accumulate = {
  name: 'accumulate',
  text: `module @accumulate {
  func.func public @main(%state: tensor<4xf32> {tf.aliasing_output = 0 : i32}, %x: tensor<4xf32>) -> (tensor<4xf32>, tensor<f32>) {
    %next = stablehlo.add %state, %x : tensor<4xf32>
    %zero = stablehlo.constant dense<0.0> : tensor<f32>
    %sum = stablehlo.reduce(%next init: %zero) applies stablehlo.add across dimensions = [0] : (tensor<4xf32>, tensor<f32>) -> tensor<f32>
    return %next, %sum : tensor<4xf32>, tensor<f32>
  }
}
`,
  inputs: [vector(4), vector(4)],
  outputs: [vector(4), scalar],
  donated: [0],
};

/** x → x · x, a chain of matrix products that takes a moment. */
export const slow = {
  name: 'slow',
  text: `module @slow {
  func.func public @main(%x: tensor<1024x1024xf32>) -> tensor<1024x1024xf32> {
    %zero = stablehlo.constant dense<0> : tensor<i32>
    %r:2 = stablehlo.while(%y = %x, %i = %zero) : tensor<1024x1024xf32>, tensor<i32>
    cond {
      %last = stablehlo.constant dense<15> : tensor<i32>
      %more = stablehlo.compare LT, %i, %last : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %more : tensor<i1>
    } do {
      %one = stablehlo.constant dense<1> : tensor<i32>
      %z = stablehlo.dot_general %y, %x, contracting_dims = [1] x [0] : (tensor<1024x1024xf32>, tensor<1024x1024xf32>) -> tensor<1024x1024xf32>
      %j = stablehlo.add %i, %one : tensor<i32>
      stablehlo.return %z, %j : tensor<1024x1024xf32>, tensor<i32>
    }
    return %r#0 : tensor<1024x1024xf32>
  }
}
`,
  inputs: [{ elementType: 'f32', shape: [1024, 1024] }],
  outputs: [{ elementType: 'f32', shape: [1024, 1024] }],
  donated: [],
} as const;

export async function openCpu(options: Partial<PjrtOptions> = {}): Promise<PjrtClient> {
  const plugin = await findPlugin('cpu');
  return openPjrt({
    pluginPath: plugin.path,
    pluginName: plugin.package,
    pluginVersion: plugin.version,
    pluginHash: plugin.sha256,
    device: 'cpu',
    ...options,
  });
}

/** Tests that need the plugin are skipped where it is deliberately left out. */
export const withoutPlugin = process.env.SPARSELAW_TEST_NO_PLUGIN === '1';

import type { CustomCall } from './operations.js';
import { quoted } from './statements.js';
import type { TensorType } from './types.js';

const layoutOf = ({ shape }: TensorType) => shape.map((_, i) => shape.length - 1 - i);

/**
 * The custom call by which XLA's CUDA plugin is handed a kernel in Triton's IR. The dictionary must be a
 * `backend_config` of API version 4: written otherwise, the call ends the process.
 * @param instances programs that run side by side
 * @param warps groups of 32 threads of each
 */
export function tritonCall(
  name: string,
  ir: string,
  instances: number,
  warps: number,
  operands: readonly TensorType[],
  results: readonly TensorType[],
): CustomCall {
  const attributes = {
    debug: 'false',
    grid_x: `${instances} : i32`,
    grid_y: '1 : i32',
    grid_z: '1 : i32',
    ir: quoted(ir),
    name: `"${name}"`,
    num_stages: '1 : i32',
    num_warps: `${warps} : i32`,
  };
  return {
    target: '__gpu$xla.gpu.triton',
    apiVersion: 4,
    config: Object.entries(attributes)
      .map(([key, value]) => `${key} = ${value}`)
      .join(', '),
    types: results,
    operandLayouts: operands.map(layoutOf),
    resultLayouts: results.map(layoutOf),
  };
}

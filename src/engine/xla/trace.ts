import { engine as tfjs } from '@tensorflow/tfjs-core';
import { engineError, SparselawError } from '../../errors.js';
import type { TensorTree } from '../engine.js';
import { mapTree } from '../tree.js';
import { BACKEND, type Fusions, type XlaBackend } from './backend.js';
import { createGraph, type Node } from './graph.js';
import type { TensorType } from './types.js';
import { missingKernel, unsupportedKernels } from './unsupported.js';

/** A leaf of the caller's data: its place there and its type. */
export interface Leaf {
  readonly path: string;
  readonly type: TensorType;
}

/** A recorded function. */
export interface Traced<Result extends TensorTree> {
  readonly parameters: readonly { readonly node: Node; readonly name: string }[];
  readonly results: readonly { readonly node: Node; readonly name: string }[];
  /** The returned tree; its tensors are disposed and stand for places only. */
  readonly structure: Result;
}

/** Runs `use` with tfjs on the XLA backend and puts back the backend that was current before. */
export function onXla<T>(use: () => T): T {
  const engine = tfjs();
  const before = engine.backendName as string | null | undefined;
  if (before === BACKEND) return use();
  // Both backends have started, so tfjs switches before the returned promise is looked at.
  void engine.setBackend(BACKEND);
  try {
    return use();
  } finally {
    if (before) void engine.setBackend(before);
    else engine.backendName = before as unknown as string;
  }
}

/**
 * Runs a function once on symbolic arguments and records what it does.
 * @param args the argument trees and how their leaves are called and typed, in `flatten`'s order
 * @param fusions fused kernels that the program may call
 * @throws SparselawError (status 4) that names the tfjs op when something cannot be part of a program
 */
export function trace<Args extends TensorTree[], Result extends TensorTree>(
  backend: XlaBackend,
  name: string,
  fn: (...args: Args) => Result,
  args: Args,
  leaves: readonly Leaf[],
  fusions?: Fusions,
): Traced<Result> {
  if (backend.graph) {
    throw engineError(`${name} was run inside another compiled function.`, {
      code: 'nested-program',
      suggestions: ['Call the plain function there, or return first and run it afterwards.'],
    });
  }
  const graph = createGraph();
  const parameters = leaves.map(({ path, type }, index) => ({
    name: path,
    node: graph.add({ op: 'parameter', index, name: path, type }),
  }));
  return onXla(() => {
    backend.graph = graph;
    backend.fusions = fusions;
    backend.level = 0;
    tfjs().startScope(name);
    try {
      let next = 0;
      const symbolic = args.map((tree) => mapTree(tree, () => backend.nodeTensor(parameters[next++]!.node)));
      const structure = fn(...(symbolic as Args));
      return { parameters, results: leavesOf(backend, name, structure), structure };
    } catch (error) {
      throw explained(name, error);
    } finally {
      tfjs().endScope();
      backend.graph = undefined;
      backend.fusions = undefined;
    }
  });
}

/** The nodes of a returned tree; a result is named by its path. */
function leavesOf(backend: XlaBackend, name: string, tree: TensorTree): { node: Node; name: string }[] {
  const results: { node: Node; name: string }[] = [];
  mapTree(tree, (tensor, path) => {
    results.push({ node: backend.nodeOf(tensor), name: path });
    return tensor;
  });
  if (results.length === 0) {
    throw engineError(`${name} returns no tensors.`, { code: 'bad-program' });
  }
  return results;
}

const NO_GRADIENT = /gradient function not found for (\w+)/;
const DISPOSED = /Cannot read propert.* of undefined \(reading 'backend'\)|is disposed/;

/** tfjs's own failures while recording, in words that say what to do. */
function explained(name: string, error: unknown): unknown {
  if (error instanceof SparselawError || !(error instanceof Error)) return error;
  const missing = missingKernel(error);
  if (missing) return unsupportedKernels(name, [missing], { cause: error });
  const flat = NO_GRADIENT.exec(error.message);
  if (flat) {
    return engineError(`${name} differentiates the tfjs kernel ${flat[1]}, which has no gradient here.`, {
      code: 'unsupported-gradient',
      suggestions: ['Write it with other tfjs ops, or give it a gradient with tf.customGrad.'],
      cause: error,
    });
  }
  if (DISPOSED.test(error.message)) {
    return engineError(`${name} uses a tensor that was disposed before.`, {
      code: 'disposed-tensor',
      cause: error,
    });
  }
  return error;
}

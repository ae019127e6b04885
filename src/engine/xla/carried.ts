import { keep } from '@tensorflow/tfjs-core';
import type { TensorTree } from '../engine.js';
import { flatten } from '../tree.js';
import type { PjrtResults } from './pjrt/index.js';

/**
 * A state that a program returned and that may go straight into its next run. A training step's state has hundreds
 * of leaves that nobody reads between two steps: a tensor of tfjs, its record and a buffer for each, made and freed
 * again, were most of a step's time on the host. So they are made when somebody first looks into the tree.
 */
export class CarriedState {
  #tree: TensorTree | undefined;
  #consumed = false;

  /**
   * @param results of each device
   * @param make the tree with a tensor for each leaf
   */
  constructor(
    /** Whose results these are. */
    readonly owner: object,
    readonly results: readonly PjrtResults[],
    private readonly make: () => TensorTree,
  ) {}

  /** Whether the state is still nobody's but the next run's. */
  get untouched(): boolean {
    return !this.#consumed && this.#tree === undefined;
  }

  /** What is in the tree. */
  look(): TensorTree {
    if (this.#tree === undefined) {
      this.#tree = this.make();
      // They belong to the tree's holder, not to the scope in which somebody happened to look first.
      for (const tensor of flatten(this.#tree)) keep(tensor);
      if (this.#consumed) this.#dispose();
    }
    return this.#tree;
  }

  /** To be called once a run has taken the state: its tensors, seen or not, are disposed. */
  consume(): void {
    this.#consumed = true;
    this.#dispose();
  }

  #dispose(): void {
    if (this.#tree !== undefined) for (const tensor of flatten(this.#tree)) tensor.dispose();
  }
}

const states = new WeakMap<object, CarriedState>();

/** The carried state that a tree stands for. */
export const carriedBy = (tree: TensorTree): CarriedState | undefined => states.get(tree);

/** What may be done with a carried tree. */
class Looking implements ProxyHandler<object> {
  constructor(private readonly state: CarriedState) {}

  get(_: object, key: PropertyKey): unknown {
    return Reflect.get(this.state.look(), key);
  }

  has(_: object, key: PropertyKey): boolean {
    return Reflect.has(this.state.look(), key);
  }

  ownKeys(): (string | symbol)[] {
    return Reflect.ownKeys(this.state.look());
  }

  // A proxy may only show what its empty target could have: properties that can be redefined.
  getOwnPropertyDescriptor(_: object, key: PropertyKey): PropertyDescriptor | undefined {
    return Reflect.getOwnPropertyDescriptor(this.state.look(), key);
  }

  set(): boolean {
    return false;
  }

  deleteProperty(): boolean {
    return false;
  }

  defineProperty(): boolean {
    return false;
  }
}

/** A tree like any other, whose tensors are made when it is first looked into. */
export function carriedTree(state: CarriedState): TensorTree {
  const tree = new Proxy({}, new Looking(state)) as TensorTree;
  states.set(tree, state);
  return tree;
}

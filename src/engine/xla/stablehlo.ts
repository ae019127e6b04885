import { type Node, reachable } from './graph.js';
import type { Operation } from './operations.js';
import { type EmissionOptions, expression, typeText } from './statements.js';

export interface ProgramParameter {
  readonly node: Node;
  /** Its place in the caller's data, e.g. `state.weights[0]`; names the argument. */
  readonly name: string;
  /** Which result takes over its memory. */
  readonly aliases?: number | undefined;
}

export interface ProgramResult {
  readonly node: Node;
  readonly name: string;
}

/**
 * A graph as the text of a StableHLO module with a public `main`: one line an operation, arguments named after
 * their place in the caller's data, values numbered in order. The same graph gives the same text.
 */
export function emitModule(
  parameters: readonly ProgramParameter[],
  results: readonly ProgramResult[],
  options: EmissionOptions & { readonly name: string; readonly devices?: number },
): string {
  const argumentNames = uniqueNames(parameters.map(({ name }) => name));
  const names: Names = new Map(parameters.map(({ node }, i) => [node, argumentNames[i]!]));
  const args = parameters.map(({ node, aliases }, i) => {
    const attribute = aliases === undefined ? '' : ` {tf.aliasing_output = ${aliases} : i32}`;
    return `    ${argumentNames[i]}: ${typeText(node.type)}${attribute}`;
  });
  const outputs = results.map(
    ({ node, name }) => `    ${typeText(node.type)} {jax.result_info = ${JSON.stringify(name)}}`,
  );
  const nodes = results.map(({ node }) => node);
  const body = blockLines({ options, next: 0 }, nodes, 0, names, '    ');
  return [
    `module @"${options.name}" attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = ${options.devices ?? 1} : i32} {`,
    `  func.func public @main(\n${args.join(',\n')}\n  ) -> (\n${outputs.join(',\n')}\n  ) {`,
    ...body,
    `    return ${listOf(nodes.map((node) => names.get(node)!))} : ${listOf(nodes.map(({ type }) => typeText(type)))}`,
    '  }',
    '}',
    '',
  ].join('\n');
}

type Names = Map<Node, string>;

interface Numbering {
  readonly options: EmissionOptions;
  next: number;
}

const listOf = (items: readonly string[]): string => items.join(', ');

/** MLIR value names of paths: letters, digits, `_`, `.`, `-`, `$`; told apart by a number where they collide. */
function uniqueNames(paths: readonly string[]): string[] {
  const taken = new Set<string>();
  return paths.map((path, index) => {
    const cleaned = path.replace(/\[(\d+)\]/g, '.$1').replace(/[^A-Za-z0-9_.$-]/g, '_') || `argument${index}`;
    const base = /^[A-Za-z$._-]/.test(cleaned) ? cleaned : `_${cleaned}`;
    let name = base;
    for (let i = 1; taken.has(name); i++) name = `${base}_${i}`;
    taken.add(name);
    return `%${name}`;
  });
}

/**
 * The lines that compute `roots` in a block `level` loops deep; what they define is added to `names`.
 * Values of enclosing blocks are used as they are; values of constants alone are written in each block anew.
 */
function blockLines(
  numbering: Numbering,
  roots: readonly Node[],
  level: number,
  names: Names,
  indent: string,
): string[] {
  const lines: string[] = [];
  for (const node of reachable(roots, (each) => each.level === level || each.level === -1)) {
    const { operation } = node;
    if (names.has(node)) continue;
    if (operation.op === 'result') {
      const bundle = node.inputs[0]!;
      // A loop's first result is its index.
      const offset = bundle.operation.op === 'loop' ? 1 : 0;
      names.set(node, `${names.get(bundle)}#${operation.index + offset}`);
    } else if (operation.op === 'loop') {
      names.set(node, `%loop${operation.loop}`);
      lines.push(...loopLines(numbering, node, operation, names, indent));
    } else {
      const name = `%${numbering.next++}`;
      names.set(node, name);
      const left = node.types.length > 1 ? `${name}:${node.types.length}` : name;
      const operands = node.inputs.map((input) => names.get(input)!);
      lines.push(`${indent}${left} = ${expression(node, operands, indent, numbering.options)}`);
    }
  }
  return lines;
}

function loopLines(
  numbering: Numbering,
  node: Node,
  { loop, level, count, arguments: args, results }: Extract<Operation, { op: 'loop' }>,
  outer: Names,
  indent: string,
): string[] {
  const own = `%loop${loop}`;
  const index = 'tensor<i32>';
  const argumentNames = args.map((_, i) => (i === 0 ? `${own}.index` : `${own}.${i - 1}`));
  const starts = [`${own}.start`, ...results.map((_, i) => outer.get(node.inputs[i]!)!)];
  const types = listOf(args.map(({ type }) => typeText(type)));
  const names: Names = new Map([...outer].filter(([known]) => known.level !== -1));
  args.forEach((argument, i) => {
    names.set(argument, argumentNames[i]!);
  });
  const inner = `${indent}    `;
  const body = blockLines(numbering, results, level, names, inner);
  const next = [`${own}.next`, ...results.map((result) => names.get(result)!)];
  return [
    `${indent}${own}.start = stablehlo.constant dense<0> : ${index}`,
    `${indent}${own}:${args.length} = stablehlo.while(${listOf(argumentNames.map((name, i) => `${name} = ${starts[i]}`))}) : ${types}`,
    `${indent}  cond {`,
    `${inner}${own}.limit = stablehlo.constant dense<${count}> : ${index}`,
    `${inner}${own}.more = stablehlo.compare LT, ${own}.index, ${own}.limit, SIGNED : (${index}, ${index}) -> tensor<i1>`,
    `${inner}stablehlo.return ${own}.more : tensor<i1>`,
    `${indent}  } do {`,
    ...body,
    `${inner}${own}.one = stablehlo.constant dense<1> : ${index}`,
    `${inner}${own}.next = stablehlo.add ${own}.index, ${own}.one : ${index}`,
    `${inner}stablehlo.return ${listOf(next)} : ${types}`,
    `${indent}  }`,
  ];
}

import { bytesField, doubleField, integerField, packedField, textField } from './protobuf.js';
import type { CompileSettings } from './types.js';

type OverrideValue = string | number | boolean;

/** Field numbers of `CompileOptionsProto` and its parts (openxla/xla, `compile_options.proto`). */
const OPTIONS = { build: 3, overrides: 7 } as const;
const BUILD = {
  deviceOrdinal: 1,
  replicas: 4,
  partitions: 5,
  spmdPartitioning: 6,
  deviceAssignment: 9,
  shardy: 19,
} as const;
const ASSIGNMENT = { replicas: 1, computations: 2, devicesOfComputation: 3 } as const;

const range = (count: number) => Array.from({ length: count }, (_, index) => index);

/** Replica r of partition p runs on device r · partitions + p. */
function deviceAssignment(replicas: number, partitions: number): number[] {
  return [
    ...integerField(ASSIGNMENT.replicas, replicas),
    ...integerField(ASSIGNMENT.computations, partitions),
    ...range(partitions).flatMap((partition) =>
      bytesField(
        ASSIGNMENT.devicesOfComputation,
        packedField(
          1,
          range(replicas).map((replica) => replica * partitions + partition),
        ),
      ),
    ),
  ];
}

function overrideEntry(name: string, value: OverrideValue): number[] {
  const encoded =
    typeof value === 'string'
      ? textField(1, value)
      : typeof value === 'boolean'
        ? integerField(2, value)
        : Number.isInteger(value)
          ? integerField(3, value)
          : doubleField(4, value);
  return bytesField(OPTIONS.overrides, [...textField(1, name), ...bytesField(2, encoded)]);
}

/**
 * The serialised `CompileOptionsProto`. Counts are always written: a plugin aborts the process
 * when it is given no options at all.
 */
export function compileOptions({
  replicas = 1,
  partitions = 1,
  shardy = false,
  overrides = {},
}: CompileSettings): Uint8Array {
  const build = [
    ...integerField(BUILD.deviceOrdinal, -1),
    ...integerField(BUILD.replicas, replicas),
    ...integerField(BUILD.partitions, partitions),
    ...(partitions > 1 ? integerField(BUILD.spmdPartitioning, true) : []),
    ...(replicas * partitions > 1
      ? bytesField(BUILD.deviceAssignment, deviceAssignment(replicas, partitions))
      : []),
    ...(shardy ? integerField(BUILD.shardy, true) : []),
  ];
  const names = Object.keys(overrides).sort();
  return Uint8Array.from([
    ...bytesField(OPTIONS.build, build),
    ...names.flatMap((name) => overrideEntry(name, overrides[name]!)),
  ]);
}

import { join } from 'node:path';
import type { EngineName } from '../engine/index.js';
import type { DemoPreset } from './presets.js';

/** The two activations whose laws the paper gives, each with its law. */
export const DEMO_MODELS = [
  { activation: 'relu', law: 'logspace-power' },
  { activation: 'silu', law: 'convergent-power' },
] as const;

/** One command of the pipeline; it is left out when `output` is there already. */
export interface DemoStage {
  title: string;
  args: string[];
  /** A file that only a finished stage leaves. */
  output: string;
}

/** Where the demo puts its files. */
export const demoPaths = (out: string) => ({
  corpus: join(out, 'corpus'),
  run: (activation: string) => join(out, 'runs', activation),
  table: join(out, 'table.csv'),
  fit: (activation: string) => join(out, `${activation}.fit.json`),
  report: join(out, 'report.html'),
});

/** Paths of the shipped text. */
export interface DemoText {
  train: string;
  validation: string;
}

/** The pipeline, text to report, as command lines of this program. */
export function demoStages(out: string, text: DemoText, preset: DemoPreset, engine: EngineName): DemoStage[] {
  const paths = demoPaths(out);
  const runs = DEMO_MODELS.map(({ activation }) => paths.run(activation));
  const trainFlags = Object.entries(preset.train).flatMap(([name, value]) => [`--${name}`, value]);
  const build: DemoStage = {
    title: 'Build the corpus',
    args: [
      ...['corpus', 'build', text.train, '--out', paths.corpus],
      ...['--vocab-size', String(preset.vocabSize), '--validation', text.validation],
    ],
    output: join(paths.corpus, 'manifest.json'),
  };
  const train = DEMO_MODELS.map(({ activation }): DemoStage => {
    const run = paths.run(activation);
    return {
      title: `Train the ${activation} model`,
      args: [
        ...['train', '--data', paths.corpus, '--out', run, '--activation', activation],
        ...[...trainFlags, '--engine', engine],
      ],
      output: join(run, 'DONE'),
    };
  });
  const measure = DEMO_MODELS.map(({ activation }): DemoStage => {
    const run = paths.run(activation);
    return {
      title: `Measure the ${activation} checkpoints`,
      args: [
        ...['measure', run, '--metric', 'pplp,zero', '--p', '1'],
        ...[
          '--tokens',
          preset.measureTokens,
          '--calibration-tokens',
          preset.calibrationTokens,
          '--engine',
          engine,
        ],
      ],
      output: join(run, 'sparsity', 'DONE'),
    };
  });
  const table: DemoStage = {
    title: 'Make the table',
    args: ['table', ...runs, '--out', paths.table],
    output: paths.table,
  };
  const fits = DEMO_MODELS.map(
    ({ activation, law }): DemoStage => ({
      title: `Fit the ${activation} law`,
      args: [
        ...['fit', paths.table, '--where', 'metric=pplp', '--where', `activation=${activation}`],
        // The rivals show whether the paper's form is the better one; a constant can always be fitted.
        ...['--law', `${law},offset-power,log,constant`, '--all-phases', '--out', paths.fit(activation)],
      ],
      output: paths.fit(activation),
    }),
  );
  const report: DemoStage = {
    title: 'Write the report',
    args: [
      ...['report', ...DEMO_MODELS.map(({ activation }) => paths.fit(activation)), paths.table, ...runs],
      ...['--title', 'sparselaw demo', '--out', paths.report],
    ],
    output: paths.report,
  };
  return [build, ...train, ...measure, table, ...fits, report];
}

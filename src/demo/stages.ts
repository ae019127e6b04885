import { join } from 'node:path';
import type { EngineName } from '../engine/index.js';
import type { DemoPreset } from './presets.js';

const ACTIVATIONS = ['relu', 'silu'] as const;

/**
 * The paper's law of each activation, for the ratio it is of (PPL-1%). For ReLU also for the share of neurons that
 * are not exactly zero: it falls within the demo's few tokens, as the law says, while the PPL-1% ratio of so small a
 * model still rises, for all that 1 % of perplexity leaves of its FFN early on is little.
 */
export const DEMO_LAWS = [
  { activation: 'relu', metric: 'zero', law: 'logspace-power', ratio: 'not exactly zero', name: 'relu-zero' },
  { activation: 'relu', metric: 'pplp', law: 'logspace-power', ratio: 'PPL-1%', name: 'relu' },
  { activation: 'silu', metric: 'pplp', law: 'convergent-power', ratio: 'PPL-1%', name: 'silu' },
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
  fit: (name: string) => join(out, `${name}.fit.json`),
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
  const runs = ACTIVATIONS.map(paths.run);
  const trainFlags = Object.entries(preset.train).flatMap(([name, value]) => [`--${name}`, value]);
  const build: DemoStage = {
    title: 'Build the corpus',
    args: [
      ...['corpus', 'build', text.train, '--out', paths.corpus],
      ...['--vocab-size', String(preset.vocabSize), '--validation', text.validation],
    ],
    output: join(paths.corpus, 'manifest.json'),
  };
  const train = ACTIVATIONS.map((activation): DemoStage => {
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
  const measure = ACTIVATIONS.map((activation): DemoStage => {
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
  const fits = DEMO_LAWS.map(
    ({ activation, metric, law, ratio, name }): DemoStage => ({
      title: `Fit the ${activation} law, ${ratio}`,
      args: [
        ...['fit', paths.table, '--where', `metric=${metric}`, '--where', `activation=${activation}`],
        // The rivals show whether the paper's form is the better one; a constant can always be fitted.
        ...['--law', `${law},offset-power,log,constant`, '--all-phases', '--out', paths.fit(name)],
      ],
      output: paths.fit(name),
    }),
  );
  const report: DemoStage = {
    title: 'Write the report',
    args: [
      ...['report', ...DEMO_LAWS.map(({ name }) => paths.fit(name)), paths.table, ...runs],
      ...['--title', 'sparselaw demo', '--out', paths.report],
    ],
    output: paths.report,
  };
  return [build, ...train, ...measure, table, ...fits, report];
}

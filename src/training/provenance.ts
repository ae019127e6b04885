import { execFile } from 'node:child_process';
import { access, existsSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { type Config, configHash } from '../config.js';
import type { Engine } from '../engine/index.js';
import { type Provenance, provenanceSchema, runPaths } from '../files/run.js';
import { writeFileAtomic } from '../io/atomic.js';
import { readJson } from '../io/json.js';
import { packageRoot, packageVersion } from '../package-info.js';
import type { TrainingData } from './data.js';
import { planRun } from './plan.js';

type Session = Provenance['sessions'][number];
type Outcome = Session['outcome'];

/** A hanging git must not keep a run from starting. */
const GIT_TIMEOUT_MS = 2_000;

/** The commit this program was built from, when it runs from a checkout; `+` marks local changes. */
async function gitRevision(): Promise<string | null> {
  const cwd = packageRoot();
  if (!existsSync(join(cwd, '.git'))) return null;
  const git = (...args: string[]) =>
    promisify(execFile)('git', args, { cwd, timeout: GIT_TIMEOUT_MS }).then(({ stdout }) => stdout.trim());
  try {
    const revision = await git('rev-parse', 'HEAD');
    return (await git('status', '--porcelain', '--untracked-files=no')) === '' ? revision : `${revision}+`;
  } catch {
    return null;
  }
}

/** The stored provenance; undefined before the first session. */
export async function readProvenance(run: string): Promise<Provenance | undefined> {
  const path = runPaths(run).provenance;
  const there = await new Promise<boolean>((done) => access(path, (error) => done(!error)));
  return there ? readJson(path, provenanceSchema) : undefined;
}

export interface SessionStart {
  run: string;
  config: Config;
  data: TrainingData;
  engine: Engine;
  fromStep: number;
  commandLine: readonly string[];
}

/** Writes the start of a session into provenance.json. @returns what writes its end */
export async function startSession(
  start: SessionStart,
): Promise<(outcome: Outcome, toStep: number) => Promise<void>> {
  const { run, config, data, engine } = start;
  const plan = planRun(config);
  const before = (await readProvenance(run))?.sessions ?? [];
  const session: Session = {
    startedAt: new Date().toISOString(),
    endedAt: null,
    fromStep: start.fromStep,
    toStep: null,
    outcome: 'running',
    engine: engine.name,
    device: engine.device,
    deviceDescription: engine.deviceDescription,
    precision: engine.precision,
    deterministic: engine.deterministic,
    host: {
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: cpus().length,
      memoryBytes: totalmem(),
      platform: `${process.platform} ${process.arch}`,
    },
    versions: { sparselaw: packageVersion(), node: process.version, ...engine.versions },
    gitRevision: await gitRevision(),
    commandLine: [...start.commandLine],
  };
  const provenance: Provenance = {
    schemaVersion: 1,
    runId: basename(resolve(run)),
    configSha256: configHash(config),
    data: {
      path: config.data,
      manifestSha256: data.manifest.sha256,
      tokenizerSha256: data.manifest.tokenizer.sha256,
      trainTokens: data.manifest.splits.train.tokens,
      validationTokens: data.manifest.splits.validation.tokens,
    },
    model: {
      parametersTotal: plan.parameters.total,
      parametersNonEmbedding: plan.parameters.nonEmbedding,
      flopsPerToken: plan.flopsPerToken.matricesAndAttention,
    },
    steps: plan.steps,
    epochs: plan.tokens / data.trainTokens,
    // What still says `running` was killed: a session writes its end in every other case.
    sessions: [
      ...before.map((old) => (old.outcome === 'running' ? { ...old, outcome: 'lost' as const } : old)),
      session,
    ],
  };
  const write = () => writeFileAtomic(runPaths(run).provenance, `${JSON.stringify(provenance, null, 2)}\n`);
  await write();
  return async (outcome, toStep) => {
    Object.assign(session, { outcome, toStep, endedAt: new Date().toISOString() });
    await write();
  };
}

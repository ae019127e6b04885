import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkpointName } from '../../src/files/run.js';
import { fitTable } from '../../src/fit/fit-table.js';
import { writeReport } from '../../src/report/index.js';
import { measurement, runConfig, runProvenance, writeRun } from '../table/synthetic-run.js';

const HOSTILE = '</script><img src=x onerror=alert(1)>';
let folder: string;
let inputs: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-report-'));
  for (const activation of ['relu', 'silu']) {
    const tokens = Array.from({ length: 10 }, (_, i) => 64 * 2 ** i);
    const sign = activation === 'relu' ? 1 : -1;
    await writeRun(join(folder, 'runs', `${activation}-64`), {
      checkpoints: tokens,
      measurements: tokens.map((t, i) =>
        measurement({
          checkpoint: checkpointName(t),
          tokens: t,
          activationRatio: 0.2 + sign * 0.1 * (t / 64) ** -0.4 + 0.0005 * Math.sin(7 * i),
          definition: `PPL-1% ${HOSTILE}`,
          model: { ...measurement().model, activation },
        }),
      ),
      config: runConfig({ tokens: 64 * 512, activation, checkpoints: tokens.join(',') }),
      provenance: runProvenance({ runId: `${activation}-64` }),
      metrics: tokens.map((t) => ({
        step: t / 64,
        tokens: t,
        loss_nats_per_token: 3 + 64 / t,
        learning_rate: 0.01,
        gradient_norm: 1,
        tokens_per_second: 1000,
        elapsed_seconds: t / 1000,
        phase: 'stable',
      })),
    });
  }
  const table = join(folder, 'points.csv');
  const rows = Array.from({ length: 12 }, (_, i) => {
    const t = Math.round(1e9 * 1.6 ** i);
    return `"${HOSTILE}",${t},${0.06 + 0.05 * (t / 1e9) ** -0.5 + 0.0002 * Math.cos(5 * i)}`;
  });
  await writeFile(table, `run_id,tokens,activation_ratio\n${rows.join('\n')}\n`);
  const { file } = await fitTable(table, {
    laws: ['offset-power', 'offset-exponential'],
    x: 'tokens',
    y: 'activation_ratio',
    group: ['run_id'],
    where: [],
  } as never);
  await writeFile(join(folder, 'fit.json'), JSON.stringify(file));
  inputs = [join(folder, 'fit.json'), table, join(folder, 'runs')];
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const page = async (options: { static?: boolean; title?: string } = {}) => {
  const out = join(folder, 'report.html');
  const result = await writeReport({ inputs, out, ...options });
  return { ...result, html: await readFile(out, 'utf8') };
};

describe('the page', () => {
  it('holds the sections whose data is there, and the first line about length', async () => {
    const { html, charts } = await page();
    for (const id of [
      'summary',
      'activation-ratio',
      'laws',
      'layers',
      'training',
      'parameters',
      'runs',
      'provenance',
    ]) {
      expect(html).toContain(`<section id="${id}">`);
    }
    expect(html).not.toContain('<section id="pareto">');
    expect(charts).toContain('layers-relu-64');
    expect(html).toMatch(
      /tokens per non-embedding parameter and [\d.]+( to [\d.]+)? epochs .* not comparable with the paper/,
    );
  });

  it('sums up several series without stray blanks', async () => {
    const out = join(folder, 'several.html');
    await writeReport({ inputs: ['reports/study/activations/fit.json'], out });
    const html = await readFile(out, 'utf8');
    expect(html).toMatch(/<strong>5 of 5 limits<\/strong> are known to within 10%, if the law holds/);
    expect(html).toContain('gelu-d192-l5, gelu-d192-l5 shared bound');
  });

  it('is not written of a table without rows', async () => {
    const [empty, out] = [join(folder, 'empty.csv'), join(folder, 'empty.html')];
    await writeFile(empty, 'run_id,tokens,activation_ratio\n');
    await expect(writeReport({ inputs: [empty], out })).rejects.toThrow(
      /empty\.csv holds no rows, only the names of its columns/,
    );
    await expect(readFile(out)).rejects.toThrow(/ENOENT/);
  });

  it('gives the same bytes for the same inputs', async () => {
    const first = await page();
    const second = await page();
    expect(second.html === first.html).toBe(true);
  });

  it('is at most 1 MB before data, allows no network, and runs only its own scripts', async () => {
    const { html } = await page();
    const data = /<script type="application\/json" id="report-data">(.*?)<\/script>/s.exec(html)![1]!;
    expect(html.length - data.length).toBeLessThan(1_000_000);
    const policy = /Content-Security-Policy" content="([^"]+)"/.exec(html)![1]!;
    expect(policy).toMatch(/^default-src 'none';/);
    expect(policy).not.toMatch(/unsafe|https?:/);
  });

  it('is changed by no hostile name, title or cell', async () => {
    const { html } = await page({ title: HOSTILE });
    expect(html).not.toContain('<img src=x');
    expect(html).toContain('&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;');
  });

  it('as pictures alone stays below 200 kB and holds no script', async () => {
    const { html } = await page({ static: true, title: HOSTILE });
    expect(html.length).toBeLessThan(200_000);
    expect(html).not.toMatch(/<script|<img/);
    expect(html.match(/<svg xmlns/g)!.length).toBeGreaterThanOrEqual(5);
  });

  it('says so where even the thinnest page is larger than that', async () => {
    const out = join(folder, 'large.html');
    const { notices } = await writeReport({ inputs, out, static: true, title: 'long '.repeat(50_000) });
    expect(notices.at(-1)).toMatch(/large\.html has \d+ kB, more than the 200 kB/);
  });

  it('writes the figures of a paper', async () => {
    const { figures } = await writeReport({
      inputs,
      out: join(folder, 'r.html'),
      figures: join(folder, 'figures'),
    });
    expect(figures.filter((path) => path.endsWith('.svg')).length).toBeGreaterThan(3);
    const svg = await readFile(figures.find((path) => path.endsWith('.svg'))!, 'utf8');
    expect(svg).not.toContain('var(');
    const csv = await readFile(figures.find((path) => path.endsWith('.csv'))!, 'utf8');
    expect(csv.split('\n').length).toBeGreaterThan(5);
  });

  it('refuses what it cannot read', async () => {
    const out = join(folder, 'report.html');
    await expect(writeReport({ inputs: [join(folder, 'none.json')], out })).rejects.toMatchObject({
      exitStatus: 3,
    });
    const other = join(folder, 'other.json');
    await writeFile(other, '{"a":1}');
    await expect(writeReport({ inputs: [other], out })).rejects.toMatchObject({
      code: 'unknown-input',
      exitStatus: 3,
    });
    await expect(writeReport({ inputs, out: join(folder, 'report.pdf') })).rejects.toMatchObject({
      exitStatus: 2,
    });
  });
});

import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fitTable } from '../../src/fit/fit-table.js';
import { writeReport } from '../../src/report/index.js';

const HOSTILE = '</script><img src=x onerror="window.hit=1">';
const root = resolve(import.meta.dirname, '../..');
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';

let folder: string;
let browser: Browser;
let report: string;

beforeAll(async () => {
  if (!existsSync(executablePath))
    throw new Error(`No Chromium at ${executablePath}: apt-get install chromium`);
  folder = await mkdtemp(join(tmpdir(), 'sparselaw-browser-'));
  const table = join(folder, 'points.csv');
  const text = await readFile(join(root, 'fixtures/sparsing-law/activation_vs_tokens.csv'), 'utf8');
  // One run with a hostile name, among the authors' real ones.
  await writeFile(table, text.replaceAll('1.2B,silu', `"${HOSTILE.replaceAll('"', '""')}",silu`));
  const { file } = await fitTable(table, {
    laws: ['logspace-power', 'convergent-power'],
    x: 'tokens',
    y: 'activation_ratio',
    group: ['scale', 'activation'],
    where: [],
  } as never);
  await writeFile(join(folder, 'fit.json'), JSON.stringify(file));
  report = join(folder, 'report.html');
  await writeReport({ inputs: [join(folder, 'fit.json'), table], out: report, title: HOSTILE });
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
});
afterAll(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

async function open(path: string, options: { width?: number; dark?: boolean } = {}) {
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1280, height: 900 },
    colorScheme: options.dark ? 'dark' : 'light',
    offline: true,
  });
  const page = await context.newPage();
  const requests: string[] = [];
  const messages: string[] = [];
  page.on('request', (request) => requests.push(request.url()));
  page.on('console', (message) => messages.push(message.text()));
  page.on('pageerror', (error) => messages.push(error.message));
  await page.goto(pathToFileURL(path).href);
  await page.waitForSelector('html[data-ready=true]');
  return { context, page, requests, messages };
}

const overflow = (page: Page) => page.evaluate('document.documentElement.scrollWidth - innerWidth');

describe('the report in a browser', () => {
  it('draws every chart with no request and no message, whatever the names', async () => {
    const { context, page, requests, messages } = await open(report);
    const charts = await page.locator('[data-chart]').count();
    expect(charts).toBeGreaterThanOrEqual(6);
    expect(await page.locator('[data-chart] svg.marks, [data-chart] canvas.marks').count()).toBe(charts);
    expect(requests.filter((url) => !url.startsWith('file:') || !url.endsWith('report.html'))).toEqual([]);
    expect(messages).toEqual([]);
    expect(await page.evaluate('window.hit')).toBeUndefined();
    expect(await page.title()).toBe(HOSTILE);
    expect(await page.locator('img').count()).toBe(0);
    await context.close();
  });

  it('filters by the legend, by mouse and by keyboard, in all charts', async () => {
    const { context, page } = await open(report);
    const marks = page.locator('#chart-activation-ratio-relu .plot svg path[transform]');
    const before = await marks.count();
    const button = page.locator('#chart-activation-ratio-relu [data-series="0.1B relu"]');
    await button.focus();
    await page.keyboard.press('Enter');
    await expect.poll(() => marks.count()).toBeLessThan(before - 20);
    expect(await page.locator('[data-series="0.1B relu"][aria-pressed="false"]').count()).toBeGreaterThan(1);
    await button.click();
    await expect.poll(() => marks.count()).toBe(before);
    await context.close();
  });

  it('switches the axis, shows a tooltip, and the table behind a chart', async () => {
    const { context, page } = await open(report);
    const figure = page.locator('#chart-activation-ratio-relu');
    const words = () => figure.locator('.plot').textContent();
    const before = await words();
    await figure.locator('[data-axis=x][data-scale=linear]').click();
    await expect.poll(words).not.toBe(before);
    await figure
      .locator('.plot svg path[transform][fill-opacity], .plot svg .mark-symbol path')
      .nth(10)
      .hover({ force: true });
    await expect.poll(() => page.locator('#vg-tooltip-element').textContent()).toContain('Activation ratio');
    await figure.locator('summary').click();
    expect(await figure.locator('[data-table] tbody tr').count()).toBeGreaterThan(100);
    await context.close();
  });

  it.each([
    ['light', 1280, false],
    ['dark', 1280, true],
    ['phone', 360, false],
    ['phone, dark', 360, true],
  ])('fits the window and passes axe: %s', async (_, width, dark) => {
    const { context, page } = await open(report, { width, dark });
    expect(await overflow(page)).toBeLessThanOrEqual(0);
    const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
    await page.evaluate(axe);
    const found = (await page.evaluate(
      'axe.run(document).then(({violations}) => violations.filter(({impact}) => impact === "serious" || impact === "critical").map(({id, nodes}) => id + ": " + nodes.slice(0, 3).map(({html}) => html.slice(0, 160)).join(" | ")))',
    )) as string[];
    expect(found).toEqual([]);
    await context.close();
  });

  it('opens and draws 200 runs × 200 checkpoints within 3 seconds', async () => {
    const lines = ['run_id,activation,tokens,activation_ratio'];
    for (let run = 0; run < 200; run++) {
      for (let i = 1; i <= 200; i++) {
        lines.push(
          `run-${run},relu,${i * 1000000},${0.06 + run / 1e4 + 0.05 * i ** -0.4 + 0.001 * Math.sin(i * run)}`,
        );
      }
    }
    const table = join(folder, 'many.csv');
    await writeFile(table, `${lines.join('\n')}\n`);
    const { file } = await fitTable(table, {
      laws: ['offset-power'],
      x: 'tokens',
      y: 'activation_ratio',
      group: ['run_id'],
      where: [],
      detail: 'brief',
    } as never);
    await writeFile(join(folder, 'many.json'), JSON.stringify(file));
    const out = join(folder, 'many.html');
    await writeReport({ inputs: [join(folder, 'many.json'), table], out });
    const mail = join(folder, 'mail.html');
    await writeReport({ inputs: [join(folder, 'many.json'), table], out: mail, static: true });
    expect((await readFile(mail)).length).toBeLessThan(200_000);
    const times: number[] = [];
    // Best of three: other work on the machine is not the page's.
    for (let i = 0; i < 3 && !(Math.min(...times) < 3000); i++) {
      const { context, page, messages } = await open(out);
      expect(messages).toEqual([]);
      expect(await page.locator('#chart-activation-ratio canvas').count()).toBe(1);
      times.push(Number(await page.evaluate('document.documentElement.dataset.readyMs')));
      await page.locator('#chart-activation-ratio canvas').hover({ position: { x: 300, y: 150 } });
      await context.close();
    }
    expect(Math.min(...times)).toBeLessThan(3000);
  }, 300_000);

  it('prints on A4 with nothing cut at the side', async () => {
    // The width of A4 within its margins, in CSS pixels.
    const { context, page } = await open(report, { width: 688 });
    await page.emulateMedia({ media: 'print' });
    const wide = await page.evaluate(
      '[...document.querySelectorAll("table, svg.marks, .card")].filter((e) => e.offsetParent !== null && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 120))',
    );
    expect(wide).toEqual([]);
    // Ink for paper, also where the screen is dark.
    await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
    expect(await page.evaluate('getComputedStyle(document.documentElement).colorScheme')).toBe('light');
    await context.close();
  });
});

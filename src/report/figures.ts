import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { writeFileAtomic } from '../io/atomic.js';
import { formatCsv } from '../io/csv.js';
import { packageRoot } from '../package-info.js';
import type { Chart } from './chart.js';
import { FIGURE_WIDTH, renderSvg } from './render.js';

/** Pixels per CSS pixel of the PNG: sharp in print at a column's width. */
const PNG_SCALE = 3;

/** The converter knows no `system-ui`, and would take a serif for it. */
const PNG_FONTS = 'Helvetica, Arial, Liberation Sans, DejaVu Sans, Noto Sans, sans-serif';

/** Each chart as `<name>.svg`, `.png`, `.vl.json` and `.csv`. */
export async function writeFigures(charts: readonly Chart[], folder: string) {
  const failed: string[] = [];
  const paths: string[] = [];
  const write = async (name: string, data: string | Uint8Array) => {
    paths.push(join(folder, name));
    await writeFileAtomic(join(folder, name), data);
  };
  for (const chart of charts) {
    const svg = await renderSvg({ ...chart.spec, title: { text: chart.title, anchor: 'start', offset: 12 } });
    await write(`${chart.name}.svg`, `${svg}\n`);
    const png = await renderPng(svg.replaceAll(/font-family="[^"]*"/g, `font-family="${PNG_FONTS}"`));
    if (png) await write(`${chart.name}.png`, png);
    else failed.push(chart.name);
    await write(`${chart.name}.vl.json`, `${JSON.stringify(chart.spec, null, 2)}\n`);
    await write(
      `${chart.name}.csv`,
      formatCsv(
        chart.table.fields.map(({ field }) => field),
        chart.table.rows,
      ),
    );
  }
  const notices =
    failed.length > 0
      ? [
          `No PNG of ${failed.join(', ')}: the package @resvg/resvg-js is missing (npm install @resvg/resvg-js) or could not draw it.`,
        ]
      : [];
  return { paths, notices };
}

/** Reads an SVG on stdin and writes a PNG on stdout. */
const CONVERTER = `
import { Resvg } from '@resvg/resvg-js';
const parts = [];
for await (const part of process.stdin) parts.push(part);
const options = { background: 'white', fitTo: { mode: 'width', value: Number(process.argv[1]) }, font: { loadSystemFonts: true, defaultFontFamily: 'sans-serif' } };
process.stdout.write(new Resvg(Buffer.concat(parts).toString('utf8'), options).render().asPng());
`;

/**
 * In a process of its own: the converter is an optional native library, and one that ends the whole process at some
 * pictures. null where it is missing or fails.
 */
function renderPng(svg: string): Promise<Buffer | null> {
  return new Promise((resolve) => {
    const args = ['--input-type=module', '-e', CONVERTER, String(FIGURE_WIDTH * PNG_SCALE)];
    const child = spawn(process.execPath, args, { cwd: packageRoot(), stdio: ['pipe', 'pipe', 'ignore'] });
    const parts: Buffer[] = [];
    child.stdout.on('data', (part: Buffer) => parts.push(part));
    child.stdin.on('error', () => undefined);
    child.on('error', () => resolve(null));
    child.on('close', (status) => resolve(status === 0 && parts.length > 0 ? Buffer.concat(parts) : null));
    child.stdin.end(svg);
  });
}

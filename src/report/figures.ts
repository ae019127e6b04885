import { join } from 'node:path';
import { writeFileAtomic } from '../io/atomic.js';
import { formatCsv } from '../io/csv.js';
import type { Chart } from './chart.js';
import { FIGURE_WIDTH, renderSvg } from './render.js';

interface Resvg {
  Resvg: new (svg: string, options: object) => { render(): { asPng(): Uint8Array } };
}

/** Pixels per CSS pixel of the PNG: sharp in print at a column's width. */
const PNG_SCALE = 3;

/** Each chart as `<name>.svg`, `.png`, `.vl.json` and `.csv`. */
export async function writeFigures(charts: readonly Chart[], folder: string) {
  const resvg = await loadResvg();
  const paths: string[] = [];
  const write = async (name: string, data: string | Uint8Array) => {
    paths.push(join(folder, name));
    await writeFileAtomic(join(folder, name), data);
  };
  for (const chart of charts) {
    const svg = await renderSvg({ ...chart.spec, title: { text: chart.title, anchor: 'start', offset: 12 } });
    await write(`${chart.name}.svg`, `${svg}\n`);
    if (resvg) {
      const image = new resvg.Resvg(svg, {
        background: 'white',
        fitTo: { mode: 'width', value: FIGURE_WIDTH * PNG_SCALE },
        font: { loadSystemFonts: true, defaultFontFamily: 'sans-serif' },
      });
      await write(`${chart.name}.png`, image.render().asPng());
    }
    await write(`${chart.name}.vl.json`, `${JSON.stringify(chart.spec, null, 2)}\n`);
    await write(
      `${chart.name}.csv`,
      formatCsv(
        chart.table.fields.map(({ field }) => field),
        chart.table.rows,
      ),
    );
  }
  const notices = resvg
    ? []
    : ['No PNG pictures: they need the package @resvg/resvg-js (npm install @resvg/resvg-js).'];
  return { paths, notices };
}

/** Optional, since it is a native library that not every machine has. */
async function loadResvg(): Promise<Resvg | null> {
  const name = '@resvg/resvg-js';
  try {
    return (await import(name)) as Resvg;
  } catch {
    return null;
  }
}

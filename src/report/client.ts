/// <reference lib="dom" />
/// <reference lib="dom.iterable" />

/** Data of the page: tables by columns, text columns as indices into their distinct values. */
export interface PackedTable {
  fields: string[];
  columns: (unknown[] | { values: string[]; indices: number[] })[];
}

export interface ClientChart {
  spec: Record<string, unknown>;
  /** Dataset name in the spec → id of a packed table. */
  datasets: Record<string, string>;
  /** Id of the packed table behind the chart, and its columns. */
  table: string;
  fields: { field: string; title: string; kind: string }[];
}

export interface ClientData {
  charts: Record<string, ClientChart>;
  tables: Record<string, PackedTable>;
}

/**
 * The program of the page. It is written into the page as text, so it uses nothing from outside itself but the
 * browser and the three libraries that the page loads before it.
 */
export function reportClient(): void {
  type Scope = Record<string, unknown>;
  interface View {
    signal(name: string, value: unknown): View;
    runAsync(): Promise<View>;
    toSVG(scale?: number): Promise<string>;
    finalize(): void;
  }
  const embed = (
    window as unknown as {
      vegaEmbed: (element: Element, spec: unknown, options: unknown) => Promise<{ view: View }>;
    }
  ).vegaEmbed;
  const data = JSON.parse(document.getElementById('report-data')!.textContent!) as ClientData;
  /** Above this many marks a chart is painted on a canvas: tens of thousands of elements make a page slow. */
  const CANVAS_ABOVE = 4000;
  /** Rows of a table that are shown before the reader asks for all. */
  const FIRST_ROWS = 200;
  const views = new Map<string, View>();
  const scales = new Map<string, Scope>();
  const hidden = new Set<string>();
  const root = document.documentElement;

  const unpacked = new Map<string, Scope[]>();
  const rowsOf = (id: string): Scope[] => {
    const known = unpacked.get(id);
    if (known) return known;
    const { fields, columns } = data.tables[id]!;
    const first = columns[0];
    const length = first === undefined ? 0 : Array.isArray(first) ? first.length : first.indices.length;
    const rows: Scope[] = [];
    for (let i = 0; i < length; i++) {
      const row: Scope = {};
      for (let j = 0; j < fields.length; j++) {
        const column = columns[j]!;
        row[fields[j]!] = Array.isArray(column) ? column[i] : column.values[column.indices[i]!];
      }
      rows.push(row);
    }
    unpacked.set(id, rows);
    return rows;
  };

  const color = (text: string, style: CSSStyleDeclaration): string =>
    text.replace(/var\((--c-[0-9a-f]{6}),(#[0-9a-f]{6})\)/g, (_, name: string, light: string) => {
      return style.getPropertyValue(name).trim() || light;
    });
  const light = (text: string): string => text.replace(/var\(--c-[0-9a-f]{6},(#[0-9a-f]{6})\)/g, '$1');

  const specOf = (name: string): Scope => {
    const chart = data.charts[name]!;
    const spec: Scope = { ...chart.spec };
    const encoding = { ...(spec.encoding as Scope) };
    const forms = ((spec.usermeta as Scope | undefined)?.axes ?? {}) as Record<
      string,
      Record<string, unknown>
    >;
    for (const [channel, scale] of Object.entries(scales.get(name) ?? {})) {
      encoding[channel] = forms[channel]![scale as string];
    }
    if (spec.encoding) spec.encoding = encoding;
    spec.datasets = Object.fromEntries(Object.entries(chart.datasets).map(([key, id]) => [key, rowsOf(id)]));
    return spec;
  };

  const hasHidden = (spec: Scope) =>
    ((spec.params ?? []) as Scope[]).some((param) => param.name === 'hidden');

  /**
   * Without eval, which the page forbids, Vega interprets the tooltip's expression for every mark when it draws. Of
   * tens of thousands, each hands over its row instead, to be described when it is pointed at.
   */
  const withRowTooltips = (spec: Scope): Scope => ({
    ...spec,
    layer: ((spec.layer ?? []) as Scope[]).map((layer) => {
      const { tooltip, ...encoding } = (layer.encoding ?? {}) as Scope;
      if (tooltip === undefined) return layer;
      return { ...layer, mark: { ...(layer.mark as Scope), tooltip: { content: 'data' } }, encoding };
    }),
  });

  const rowMarkup = (name: string, row: Scope): string => {
    const table = document.createElement('table');
    for (const { field, title, kind } of data.charts[name]!.fields) {
      if (!(field in row)) continue;
      const line = table.insertRow();
      const key = line.insertCell();
      key.className = 'key';
      key.textContent = title;
      line.insertCell().textContent = shown(row[field], kind);
    }
    return table.outerHTML;
  };

  const draw = async (name: string): Promise<void> => {
    const element = document.querySelector(`[data-chart="${name}"]`);
    if (!element) return;
    let spec = specOf(name);
    const marks = Object.values(spec.datasets as Record<string, Scope[]>).reduce(
      (sum, rows) => sum + rows.length,
      0,
    );
    const renderer = marks > CANVAS_ABOVE ? 'canvas' : 'svg';
    if (renderer === 'canvas') {
      // A canvas knows no style-sheet variables.
      const { datasets, ...rest } = spec;
      const plain = JSON.parse(color(JSON.stringify(rest), getComputedStyle(root))) as Scope;
      spec = { ...withRowTooltips(plain), datasets };
    }
    views.get(name)?.finalize();
    const result = await embed(element, spec, {
      actions: false,
      ast: true,
      defaultStyle: false,
      mode: 'vega-lite',
      renderer,
      tooltip: {
        disableDefaultStyle: true,
        theme: 'report',
        ...(renderer === 'canvas' ? { formatTooltip: (row: Scope) => rowMarkup(name, row) } : {}),
      },
    });
    if (hidden.size > 0 && hasHidden(spec)) await result.view.signal('hidden', [...hidden]).runAsync();
    views.set(name, result.view);
    element.setAttribute('data-drawn', renderer);
  };

  const applyHidden = () => {
    for (const button of document.querySelectorAll<HTMLButtonElement>('[data-series]')) {
      button.setAttribute('aria-pressed', String(!hidden.has(button.dataset.series!)));
    }
    for (const [name, view] of views) {
      if (hasHidden(data.charts[name]!.spec)) void view.signal('hidden', [...hidden]).runAsync();
    }
  };

  const save = (blob: Blob, name: string) => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };

  const cell = (value: unknown) => {
    const text = value === null || value === undefined ? '' : String(value);
    return /[",\r\n]|^#/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  };

  const exportAs = async (name: string, kind: string) => {
    const chart = data.charts[name]!;
    if (kind === 'csv') {
      const lines = [chart.fields.map(({ field }) => cell(field)).join(',')];
      for (const row of rowsOf(chart.table))
        lines.push(chart.fields.map(({ field }) => cell(row[field])).join(','));
      return save(new Blob([`${lines.join('\n')}\n`], { type: 'text/csv' }), `${name}.csv`);
    }
    if (kind === 'json') {
      const spec = light(JSON.stringify(specOf(name), null, 2));
      return save(new Blob([spec], { type: 'application/json' }), `${name}.vl.json`);
    }
    const svg = light(await views.get(name)!.toSVG());
    if (kind === 'svg') return save(new Blob([svg], { type: 'image/svg+xml' }), `${name}.svg`);
    const image = new Image();
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
    await image.decode();
    const canvas = document.createElement('canvas');
    // Twice the screen's size: sharp in a slide.
    canvas.width = image.width * 2;
    canvas.height = image.height * 2;
    const context = canvas.getContext('2d')!;
    context.fillStyle = '#ffffff';
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => blob && save(blob, `${name}.png`));
  };

  const shown = (value: unknown, kind: string): string => {
    if (value === null || value === undefined) return '–';
    if (typeof value !== 'number') return String(value);
    if (kind === 'share') return `${Number((value * 100).toPrecision(5))}%`;
    if (kind === 'count') return Math.round(value).toLocaleString('en-US');
    return String(Number(value.toPrecision(6)));
  };

  const fillTable = (name: string, holder: Element, all: boolean) => {
    const { fields, table: id } = data.charts[name]!;
    const rows = rowsOf(id);
    const table = document.createElement('table');
    const head = table.createTHead().insertRow();
    for (const { title, kind } of fields) {
      const th = document.createElement('th');
      th.scope = 'col';
      th.textContent = title;
      if (kind !== 'text') th.className = 'num';
      head.append(th);
    }
    const body = table.createTBody();
    for (const row of all ? rows : rows.slice(0, FIRST_ROWS)) {
      const line = body.insertRow();
      for (const { field, kind } of fields) {
        const td = line.insertCell();
        td.textContent = shown(row[field], kind);
        if (kind !== 'text') td.className = 'num';
      }
    }
    holder.replaceChildren(table);
    if (all || rows.length <= FIRST_ROWS) return;
    const more = document.createElement('button');
    more.type = 'button';
    more.textContent = `Show all ${rows.length.toLocaleString('en-US')} rows`;
    more.addEventListener('click', () => fillTable(name, holder, true));
    holder.append(more);
  };

  document.addEventListener('click', (event) => {
    const button = (event.target as Element).closest('button');
    if (!button) return;
    const { series, axis, scale, export: kind, theme, all } = button.dataset;
    const name =
      button
        .closest('figure')
        ?.getAttribute('id')
        ?.replace(/^chart-/, '') ?? '';
    if (series !== undefined) {
      if (hidden.has(series)) hidden.delete(series);
      else hidden.add(series);
      applyHidden();
    } else if (all !== undefined) {
      const labels = [...button.closest('figure')!.querySelectorAll<HTMLElement>('[data-series]')];
      const some = labels.some((label) => hidden.has(label.dataset.series!));
      for (const label of labels) {
        if (some) hidden.delete(label.dataset.series!);
        else hidden.add(label.dataset.series!);
      }
      applyHidden();
    } else if (axis !== undefined && scale !== undefined) {
      scales.set(name, { ...scales.get(name), [axis]: scale });
      for (const other of button.parentElement!.querySelectorAll('button')) {
        other.setAttribute('aria-pressed', String(other === button));
      }
      void draw(name);
    } else if (kind !== undefined) {
      void exportAs(name, kind);
    } else if (theme !== undefined) {
      root.dataset.theme = theme;
      for (const other of button.parentElement!.querySelectorAll('button')) {
        other.setAttribute('aria-pressed', String(other === button));
      }
      redrawCanvases();
    }
  });

  const redrawCanvases = () => {
    for (const element of document.querySelectorAll('[data-drawn="canvas"]'))
      void draw(element.getAttribute('data-chart')!);
  };
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redrawCanvases);

  // "toggle" does not bubble: it is caught on the way down.
  document.addEventListener(
    'toggle',
    (event) => {
      const details = event.target as HTMLDetailsElement;
      const holder = details.querySelector?.('[data-table]');
      if (details.open && holder && !holder.firstChild)
        fillTable(holder.getAttribute('data-table')!, holder, false);
    },
    true,
  );

  const drawAll = async () => {
    for (const name of Object.keys(data.charts)) {
      const element = document.querySelector(`[data-chart="${name}"]`);
      const folded = element?.closest('details:not([open])');
      if (folded)
        folded.addEventListener('toggle', () => void (views.has(name) || draw(name)), { once: true });
      else await draw(name);
      // The browser paints and answers clicks between two charts.
      await new Promise((resolve) => setTimeout(resolve));
    }
    root.dataset.ready = 'true';
    root.dataset.readyMs = String(Math.round(performance.now()));
  };
  void drawAll();
}

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { inputError } from '../errors.js';
import { withFile } from '../io/file-error.js';
import { printable } from '../io/printable.js';
import type { Cell, RowVisitor } from './row-visitor.js';

/** Processor seconds that decoding may take: some bytes of a stranger's file can ask for years. */
const FREE_SECONDS = 1.2;
/** Ten times what a table of long runs of one value takes. */
const SECONDS_PER_BYTE = 2e-5;
const WATCH_MS = 100;
const MEBIBYTE = 2 ** 20;
const FREE_MEMORY_MIB = 160;
const MEMORY_PER_BYTE = 200;

/**
 * Decodes in a thread of its own, which can be ended whatever it does. Posts the names of the columns, then the
 * cells of each row group by column.
 */
const DECODER = `
const { parentPort, workerData: { library, file } } = require('node:worker_threads');
const toCell = (value) =>
  value === null || value === undefined ? null
  : typeof value === 'number' ? value
  : typeof value === 'bigint' ? Number(value)
  : String(value);
(async () => {
  const { parquetMetadataAsync, parquetReadObjects, parquetSchema } = await import(library);
  const metadata = await parquetMetadataAsync(file);
  // Nested columns hold no cells.
  const names = parquetSchema(metadata)
    .children.filter(({ children }) => children.length === 0)
    .map(({ element }) => element.name);
  parentPort.postMessage({ names });
  let rowStart = 0;
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows);
    // Columns one at a time: of several that are damaged hyparquet would leave all errors but one unhandled.
    const columns = [];
    for (const name of names) {
      const objects = await parquetReadObjects({ file, metadata, columns: [name], rowStart, rowEnd });
      columns.push(objects.map((row) => toCell(row[name])));
    }
    parentPort.postMessage({ columns });
    rowStart = rowEnd;
  }
})().then(
  () => parentPort.postMessage({ done: true }),
  (error) => parentPort.postMessage({ error: String(error) }),
);
`;

interface Message {
  names?: string[];
  columns?: Cell[][];
  done?: boolean;
  error?: string;
}

/**
 * Streams the rows of a Parquet file to the visitor, a row group at a time.
 * @throws SparselawError (status 3) when it is damaged, or takes more time or memory than its size allows
 */
export async function readParquetRows(path: string, visitor: RowVisitor): Promise<void> {
  const bytes = await withFile('read', path, () => readFile(path));
  const size = bytes.byteLength;
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + size) as ArrayBuffer;
  const library = pathToFileURL(createRequire(import.meta.url).resolve('hyparquet')).href;
  const worker = new Worker(DECODER, {
    eval: true,
    workerData: { library, file },
    resourceLimits: {
      maxOldGenerationSizeMb: FREE_MEMORY_MIB + Math.ceil((size * MEMORY_PER_BYTE) / MEBIBYTE),
    },
  });
  const before = process.cpuUsage();
  let watch: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string, cause?: unknown) => reject(unreadable(path, why, cause));
      let row = 0;
      worker.on('message', ({ names, columns, done, error }: Message) => {
        try {
          if (names) visitor.columns(names);
          if (columns) row = visitRows(columns, row, visitor);
          if (done) resolve();
          if (error !== undefined) fail(error);
        } catch (refused) {
          reject(refused);
        }
      });
      worker.on('error', (error) => fail(error.message, error));
      watch = setInterval(() => {
        const { user, system } = process.cpuUsage(before);
        if ((user + system) / 1e6 < FREE_SECONDS + size * SECONDS_PER_BYTE) return;
        fail('it takes more work than its size allows');
      }, WATCH_MS);
    });
  } finally {
    clearInterval(watch);
    await worker.terminate();
  }
}

/** @returns the number of rows so far */
function visitRows(columns: readonly Cell[][], before: number, visitor: RowVisitor): number {
  const count = columns[0]?.length ?? 0;
  for (let i = 0; i < count; i++) {
    visitor.row(
      columns.map((cells) => cells[i] ?? null),
      before + i + 1,
    );
  }
  return before + count;
}

const unreadable = (path: string, why: string, cause?: unknown) =>
  inputError(`${printable(path)}: not a Parquet file that can be read (${printable(why)}).`, {
    code: 'bad-parquet',
    suggestions: ['Write it uncompressed or with Snappy.'],
    cause,
  });

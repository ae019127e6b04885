import { engineError } from '../../errors.js';

interface ReportHeader {
  header: { glibcVersionRuntime?: string };
}

/** The C library's version, e.g. `2.36`; undefined where it is not glibc (Alpine, macOS, Windows). */
export function glibcVersion(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  return (process.report.getReport() as unknown as ReportHeader).header.glibcVersionRuntime;
}

const OLDEST_GLIBC_MINOR = 27;

/**
 * Checks that the wheels can run on this machine: they are built for Linux on x86-64 with glibc 2.27 or later.
 * @throws SparselawError (status 4)
 */
export function checkMachine(name: string): void {
  const refuse = (here: string) =>
    engineError(
      `${name} exists for Linux on x86-64 with glibc 2.${OLDEST_GLIBC_MINOR} or later; this is ${here}.`,
      {
        code: 'unsupported-machine',
        suggestions: [
          'Use --engine wasm, which needs no plugin.',
          'Name a PJRT plugin built for this machine in SPARSELAW_PJRT_PLUGIN.',
        ],
      },
    );
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw refuse(`${process.platform} on ${process.arch}`);
  }
  const version = glibcVersion();
  if (!version) throw refuse('a Linux without glibc');
  if (Number(version.split('.')[1]) < OLDEST_GLIBC_MINOR) throw refuse(`glibc ${version}`);
}

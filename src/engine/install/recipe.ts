/** A wheel pinned by the SHA-256 of its file. */
export interface PinnedWheel {
  readonly package: string;
  readonly version: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** A package of npm, pinned by the SHA-256 of its archive. */
export interface PinnedArchive {
  readonly package: string;
  readonly version: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** What a plugin is made of: the wheels, and which files of them are loaded. */
export interface PluginRecipe {
  readonly name: string;
  /** The engine that loads it. */
  readonly engine: 'xla' | 'tensorflow';
  readonly device: 'cpu' | 'cuda';
  readonly summary: string;
  /** The first holds the plugin itself. */
  readonly wheels: readonly [PinnedWheel, ...PinnedWheel[]];
  /** Platform tags of the wheels. */
  readonly platforms: readonly string[];
  /** The Python that the wheels are made for, e.g. `3.11`, where they are; the one here may be another. */
  readonly python?: string;
  /** Beginnings of the paths that are taken out of the wheels; everything without it. */
  readonly only?: readonly string[];
  /** What npm has to bring beside the wheels. */
  readonly archive?: PinnedArchive;
  /** Puts the parts together once they are unpacked. */
  readonly assemble?: (folder: string, archive: string) => Promise<void>;
  /** Room that the unpacked files take, in bytes, where it is known. */
  readonly unpackedBytes?: number;
  /** Path of the plugin's library within the installed tree. */
  readonly library: string;
  /** Its SHA-256. */
  readonly librarySha256: string;
  /** Shared libraries the plugin opens by name, in the order in which they are loaded before it. */
  readonly libraries: readonly string[];
  /** Folder with CUDA's device library and assembler, which the compiler asks for. */
  readonly cudaFolder?: string;
}

/** A line of a requirements file for pip: an exact version and the only hash that it may have. */
export const requirementOf = ({ package: name, version, sha256 }: PinnedWheel): string =>
  `${name}==${version} --hash=sha256:${sha256}\n`;

/** All that a recipe asks of pip. */
export const requirementsOf = ({ wheels }: PluginRecipe): string => wheels.map(requirementOf).join('');

/** What has to be downloaded, in bytes. */
export const downloadBytes = ({ wheels, archive }: PluginRecipe): number =>
  wheels.reduce((sum, { bytes }) => sum + bytes, archive?.bytes ?? 0);

/** File name of the plugin's own wheel, for people who fetch it elsewhere. */
export function wheelNameOf({ wheels, platforms, python }: PluginRecipe): string {
  const abi = python ? `cp${python.replace('.', '')}` : undefined;
  const tags = abi ? `${abi}-${abi}` : 'py3-none';
  return `${wheels[0].package.replaceAll('-', '_')}-${wheels[0].version}-${tags}-${platforms[0]}.whl`;
}

/** pip's options that choose a recipe's wheels whatever Python runs it. */
export const wheelOptions = ({ platforms, python }: PluginRecipe): string[] => [
  ...['--no-deps', '--only-binary=:all:'],
  ...platforms.flatMap((platform) => ['--platform', platform]),
  ...(python
    ? [
        '--python-version',
        python,
        '--implementation',
        'cp',
        '--abi',
        `cp${python.replace('.', '')}`,
        '--abi',
        'none',
      ]
    : []),
];

/** How to fetch a recipe's wheels, or some of them, by hand. */
export const downloadCommand = (
  recipe: PluginRecipe,
  wheels: readonly PinnedWheel[] = recipe.wheels,
): string =>
  ['pip download', recipe.python ? wheelOptions(recipe).join(' ') : '--no-deps']
    .concat(wheels.map(({ package: name, version }) => `${name}==${version}`))
    .join(' ');

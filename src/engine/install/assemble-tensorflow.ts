import { existsSync } from 'node:fs';
import { copyFile, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { packageRoot } from '../../package-info.js';
import {
  BINDING,
  LIBRARY_LINK,
  NODE_PACKAGE,
  PREBUILT_BINDING,
  STUBS,
  TENSORFLOW_FOLDER,
} from '../tensorflow/layout.js';
import { unpackArchive } from './npm.js';

/**
 * Joins TensorFlow's libraries, which are unpacked below `folder` already, with tfjs-node's JavaScript and the native
 * binding. Nothing outside of the folder is written.
 * @param archive npm's archive of tfjs-node, its hash checked
 */
export async function assembleTensorflow(folder: string, archive: string): Promise<void> {
  await unpackArchive(archive, join(folder, NODE_PACKAGE), isNeeded);
  await rm(join(folder, NODE_PACKAGE, 'dist', 'proto'), { recursive: true, force: true });
  for (const [path, text] of Object.entries(STUBS)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  await mkdir(dirname(join(folder, BINDING)), { recursive: true });
  await copyFile(join(packageRoot(), PREBUILT_BINDING), join(folder, BINDING));
  await mkdir(dirname(join(folder, LIBRARY_LINK)), { recursive: true });
  await symlink(join('..', TENSORFLOW_FOLDER), join(folder, LIBRARY_LINK));
  if (existsSync(join(folder, CUSOLVER)))
    await symlink(join('../..', CUSOLVER_PARTS), join(folder, CUSOLVER_LINK));
}

/**
 * TensorFlow 2.21.0 opens CUDA's libraries from its framework library, whose run path names every folder of NVIDIA's
 * but this one; without cuSOLVER it goes without a GPU. So it is to be found beside one that is named.
 */
const CUSOLVER_PARTS = 'cusolver/lib/libcusolver.so.11';
const CUSOLVER = `nvidia/${CUSOLVER_PARTS}`;
const CUSOLVER_LINK = 'nvidia/cusparse/lib/libcusolver.so.11';

/** Its kernels, without tests, types and the parts that read models and images. */
const isNeeded = (path: string): boolean =>
  path === 'package.json' ||
  (/^dist\/(kernels\/[^/]+|nodejs_kernel_backend|int64_tensors|register_all_kernels)\.js$/.test(path) &&
    !path.endsWith('_test.js'));

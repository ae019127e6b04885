import { BINDING, BINDING_SHA256, TENSORFLOW_FOLDER } from '../tensorflow/layout.js';
import { assembleTensorflow } from './assemble-tensorflow.js';
import type { PinnedArchive, PluginRecipe } from './recipe.js';
import { CUDA12_WHEELS, PLATFORMS } from './recipes-cuda.js';

/** TensorFlow's C library and its JavaScript kernels; the native binding between them comes with this program. */
const TFJS_NODE: PinnedArchive = {
  package: '@tensorflow/tfjs-node-gpu',
  version: '4.22.0',
  sha256: 'afd5599ee1662e732c00a0ad1f52a3d001bdc118a1f44bd592a0a0ebf2daa4c7',
  bytes: 223_379,
};

const LIBRARIES = ['libtensorflow_framework.so.2', 'libtensorflow_cc.so.2'].map(
  (name) => `${TENSORFLOW_FOLDER}/${name}`,
);

const common = {
  engine: 'tensorflow',
  // The library is the same in every wheel; this one is taken whichever Python runs pip.
  python: '3.11',
  archive: TFJS_NODE,
  assemble: assembleTensorflow,
  library: BINDING,
  librarySha256: BINDING_SHA256,
} as const;

export const TENSORFLOW: PluginRecipe = {
  ...common,
  name: 'tensorflow',
  device: 'cpu',
  summary: 'TensorFlow for the processor (Linux, x86-64 with AVX)',
  wheels: [
    {
      package: 'tensorflow-cpu',
      version: '2.21.0',
      sha256: '2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c',
      bytes: 273_829_956,
    },
  ],
  platforms: ['manylinux_2_27_x86_64'],
  only: LIBRARIES,
  libraries: LIBRARIES,
  unpackedBytes: 854_000_000,
};

/** What TensorFlow opens by name at its start; without any one of them it goes without a GPU. */
const CUDA_LIBRARIES = {
  'nvidia-cuda-runtime-cu12': 'nvidia/cuda_runtime/lib/libcudart.so.12',
  'nvidia-nvjitlink-cu12': 'nvidia/nvjitlink/lib/libnvJitLink.so.12',
  'nvidia-cublas-cu12': 'nvidia/cublas/lib/libcublas.so.12',
  'nvidia-cusparse-cu12': 'nvidia/cusparse/lib/libcusparse.so.12',
  'nvidia-cusolver-cu12': 'nvidia/cusolver/lib/libcusolver.so.11',
  'nvidia-cufft-cu12': 'nvidia/cufft/lib/libcufft.so.11',
  'nvidia-cudnn-cu12': 'nvidia/cudnn/lib/libcudnn.so.9',
};

export const TENSORFLOW_CUDA12: PluginRecipe = {
  ...common,
  name: 'tensorflow-cuda12',
  device: 'cuda',
  summary: 'TensorFlow for NVIDIA GPUs, CUDA 12 (driver 525 or later)',
  wheels: [
    {
      package: 'tensorflow',
      version: '2.21.0',
      sha256: '9056fbc9ba04235810b71ae6cbd958a196e8804fb53bbcffbf3e23b56155f124',
      bytes: 572_440_367,
    },
    ...CUDA12_WHEELS.filter((wheel) => wheel.package in CUDA_LIBRARIES),
  ],
  platforms: PLATFORMS,
  only: [...LIBRARIES, 'nvidia/'],
  libraries: [...LIBRARIES, ...Object.values(CUDA_LIBRARIES)],
  unpackedBytes: 4_500_000_000,
};

import type { PinnedWheel, PluginRecipe } from './recipe.js';

type Row = readonly [name: string, version: string, sha256: string, bytes: number];

export const pinned = (rows: readonly Row[]): PluginRecipe['wheels'] =>
  rows.map(([name, version, sha256, bytes]): PinnedWheel => ({ package: name, version, sha256, bytes })) as [
    PinnedWheel,
    ...PinnedWheel[],
  ];

/** Tags of NVIDIA's and JAX's wheels; pip takes only the tags it is given. */
export const PLATFORMS = [
  'manylinux_2_27_x86_64',
  'manylinux_2_25_x86_64',
  'manylinux_2_17_x86_64',
  'manylinux2014_x86_64',
  'manylinux_2_12_x86_64',
  'manylinux2010_x86_64',
];

/** CUDA 13.0: runs on drivers from 580. Sizes are those that pip shows, to 0.1 MB. */
const CUDA13_WHEELS = pinned([
  [
    'jax-cuda13-pjrt',
    '0.11.2',
    'e5ff589d43064913bb74027682d89639c7ea48f9f81c2bae6fc75117e913f93e',
    134_200_000,
  ],
  [
    'nvidia-cublas',
    '13.1.0.3',
    'ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171',
    423_100_000,
  ],
  [
    'nvidia-cuda-cupti',
    '13.0.85',
    '4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8',
    10_700_000,
  ],
  [
    'nvidia-cuda-nvcc',
    '13.0.88',
    '56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03',
    37_400_000,
  ],
  [
    'nvidia-cuda-nvrtc',
    '13.0.88',
    'ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575',
    90_200_000,
  ],
  [
    'nvidia-cuda-runtime',
    '13.0.96',
    '7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548',
    2_200_000,
  ],
  [
    'nvidia-cudnn-cu13',
    '9.19.0.56',
    'd20e1734305e9d68889a96e3f35094d733ff1f83932ebe462753973e53a572bf',
    366_100_000,
  ],
  [
    'nvidia-cufft',
    '12.0.0.61',
    '6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3',
    214_100_000,
  ],
  [
    'nvidia-cusolver',
    '12.0.4.66',
    '0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112',
    200_900_000,
  ],
  [
    'nvidia-cusparse',
    '12.6.3.3',
    '2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b',
    145_900_000,
  ],
  [
    'nvidia-nccl-cu13',
    '2.27.7',
    'b28a524abd8389b76a4a3f133c76a7aaa7005e47fcaa9d9603b90103927a3f93',
    193_900_000,
  ],
  [
    'nvidia-nvjitlink',
    '13.0.88',
    '13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b',
    40_700_000,
  ],
  [
    'nvidia-nvshmem-cu13',
    '3.4.5',
    '290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80',
    60_400_000,
  ],
  ['nvidia-nvvm', '13.0.88', 'c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0', 61_600_000],
]);

/** CUDA 12.9: runs on drivers from 525. */
export const CUDA12_WHEELS = pinned([
  [
    'jax-cuda12-pjrt',
    '0.11.2',
    '2133b3afc63307c016ae4980f166b2b3de199759363ead74f7d550eaae953463',
    188_200_000,
  ],
  [
    'nvidia-cublas-cu12',
    '12.9.3.13',
    'd7d51055f161b317c7105ddaae90e71eda059026074ffef93cf7cde2886bfe72',
    581_200_000,
  ],
  [
    'nvidia-cuda-cupti-cu12',
    '12.9.79',
    '096bcf334f13e1984ba36685ad4c1d6347db214de03dbb6eebb237b41d9d934f',
    10_800_000,
  ],
  [
    'nvidia-cuda-nvcc-cu12',
    '12.9.86',
    '5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0',
    40_500_000,
  ],
  [
    'nvidia-cuda-nvrtc-cu12',
    '12.9.86',
    '210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4',
    89_600_000,
  ],
  [
    'nvidia-cuda-runtime-cu12',
    '12.9.79',
    '25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3',
    3_500_000,
  ],
  [
    'nvidia-cudnn-cu12',
    '9.19.0.56',
    'ac6ad90a075bb33a94f2b4cf4622eac13dd4dc65cf6dd9c7572a318516a36625',
    657_900_000,
  ],
  [
    'nvidia-cufft-cu12',
    '11.4.1.4',
    'c67884f2a7d276b4b80eb56a79322a95df592ae5e765cf1243693365ccab4e28',
    200_900_000,
  ],
  [
    'nvidia-cusolver-cu12',
    '11.7.5.82',
    '15da72d1340d29b5b3cf3fd100e3cd53421dde36002eda6ed93811af63c40d88',
    338_100_000,
  ],
  [
    'nvidia-cusparse-cu12',
    '12.5.10.65',
    '73060ce019ac064a057267c585bf1fd5a353734151f87472ff02b2c5c9984e78',
    366_500_000,
  ],
  [
    'nvidia-nccl-cu12',
    '2.27.7',
    'de5ba5562f08029a19cb1cd659404b18411ed0d6c90ac5f52f30bf99ad5809aa',
    322_500_000,
  ],
  [
    'nvidia-nvjitlink-cu12',
    '12.9.86',
    'e3f1171dbdc83c5932a45f0f4c99180a70de9bd2718c1ab77d14104f6d7147f9',
    39_700_000,
  ],
  [
    'nvidia-nvshmem-cu12',
    '3.4.5',
    '042f2500f24c021db8a06c5eec2539027d57460e1c1a762055a6554f72c369bd',
    139_100_000,
  ],
]);

export const XLA_CUDA13: PluginRecipe = {
  name: 'xla-cuda13',
  engine: 'xla',
  device: 'cuda',
  summary: 'XLA for NVIDIA GPUs, CUDA 13 (driver 580 or later)',
  wheels: CUDA13_WHEELS,
  platforms: PLATFORMS,
  library: 'jax_plugins/xla_cuda13/xla_cuda_plugin.so',
  librarySha256: '43d3efd6fd43d8a5d9aa67176e830d81e4ad5fc19fda4ad09cdcc4aebd9f3920',
  libraries: [
    'nvidia/cu13/lib/libcudart.so.13',
    'nvidia/cu13/lib/libnvrtc.so.13',
    'nvidia/cu13/lib/libnvJitLink.so.13',
    'nvidia/cu13/lib/libcublasLt.so.13',
    'nvidia/cu13/lib/libcublas.so.13',
    'nvidia/cu13/lib/libcusparse.so.12',
    'nvidia/cu13/lib/libcusolver.so.12',
    'nvidia/cu13/lib/libcufft.so.12',
    'nvidia/cu13/lib/libcupti.so.13',
    'nvidia/nccl/lib/libnccl.so.2',
    'nvidia/nvshmem/lib/libnvshmem_host.so.3',
    'nvidia/cudnn/lib/libcudnn.so.9',
  ],
  cudaFolder: 'nvidia/cu13',
};

export const XLA_CUDA12: PluginRecipe = {
  name: 'xla-cuda12',
  engine: 'xla',
  device: 'cuda',
  summary: 'XLA for NVIDIA GPUs, CUDA 12 (driver 525 or later)',
  wheels: CUDA12_WHEELS,
  platforms: PLATFORMS,
  library: 'jax_plugins/xla_cuda12/xla_cuda_plugin.so',
  librarySha256: 'ed4d60d77427548709ca0b5a8e04c1b24cc0091452bb564e4aea01e03ae7eac1',
  libraries: [
    'nvidia/cuda_runtime/lib/libcudart.so.12',
    'nvidia/cuda_nvrtc/lib/libnvrtc.so.12',
    'nvidia/nvjitlink/lib/libnvJitLink.so.12',
    'nvidia/cublas/lib/libcublasLt.so.12',
    'nvidia/cublas/lib/libcublas.so.12',
    'nvidia/cusparse/lib/libcusparse.so.12',
    'nvidia/cusolver/lib/libcusolver.so.11',
    'nvidia/cufft/lib/libcufft.so.11',
    'nvidia/cuda_cupti/lib/libcupti.so.12',
    'nvidia/nccl/lib/libnccl.so.2',
    'nvidia/nvshmem/lib/libnvshmem_host.so.3',
    'nvidia/cudnn/lib/libcudnn.so.9',
  ],
  cudaFolder: 'nvidia/cuda_nvcc',
};

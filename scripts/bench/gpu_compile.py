"""Compiles StableHLO texts for an NVIDIA H200 with XLA's CUDA plugin, on a machine without a GPU.

    node scripts/bench/gpu-text.mjs texts --models A,B,C
    python -m venv cuda && cuda/bin/pip install jax jax-cuda13-pjrt==0.11.2 nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88
    cuda/bin/python scripts/bench/gpu_compile.py texts/A.mlir [--devices N] [--top 30] [--hlo OUT] [xla option=value ...]

Prints one JSON line a text: how many kernels a step launches, of which kinds, how many bytes they read and write, and
the memory it needs; then the kernels that move most. What a kernel takes is not measured, and nothing is tuned: the
plugin chooses products' algorithms only on a device. Everything else (fusions, kernels in Triton's IR, cuDNN's
calls, buffers) is compiled as there.
"""

import argparse
import collections
import json
import os
import re
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax_plugins.xla_cuda13 as plugin
import numpy as np
from jax._src import xla_bridge
from jax._src.interpreters import mlir
from jax._src.lib import _jax
from jax._src.lib.mlir import ir
from jax.experimental import topologies
from jaxlib import xla_client

# What XLA asks about a device while it compiles.
H200 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152 shared_memory_per_core: 233472
  threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128 block_dim_limit_x: 2147483647 block_dim_limit_y: 65535
  block_dim_limit_z: 65535 memory_bandwidth: 4800000000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: 151397597184 shared_memory_per_block_optin: 232448 cuda_compute_capability { major: 9 }
  registers_per_core_limit: 65536 registers_per_block_limit: 65536 thread_dim_limit_x: 1024 thread_dim_limit_y: 1024
  thread_dim_limit_z: 64 device_vendor: "NVIDIA Corporation" platform_version: "Compute Capability 9.0"
  device_address_bits: 64 name: "NVIDIA H200" driver_version: "13.0.0" runtime_version: "13.0.0"
  compile_time_toolkit_version: "13.0.0" dnn_version: "9.19.0"
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 19 patch: 0 }
device_description_str: "NVIDIA H200"
"""
# Those of src/engine/xla/index.ts.
OPTIONS = {
    "xla_gpu_dot_merger_threshold_mb": 0,
    "xla_gpu_enable_triton_gemm": False,
    "xla_allow_excess_precision": False,
}
SIZES = {"f32": 4, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "s64": 8, "u64": 8, "s8": 1, "u8": 1, "pred": 1}
MOVES_NOTHING = {"parameter", "get-tuple-element", "tuple", "bitcast", "constant", "after-all"}


def value(text):
    if text in ("true", "false"):
        return text == "true"
    return int(text) if re.fullmatch(r"-?\d+", text) else text


def bytes_of(types):
    total = 0
    for element, dims in re.findall(r"\b(" + "|".join(SIZES) + r")\[([\d,]*)\]", types):
        size = SIZES[element]
        for dim in filter(None, dims.split(",")):
            size *= int(dim)
        total += size
    return total


def kernels(hlo):
    """(kind, name, types, bytes) of everything that the entry launches, calls followed."""
    hlo = re.sub(r"/\*index=\d+\*/", "", hlo)
    bodies = dict(re.findall(r"^(?:ENTRY )?%([\w.\-]+) \([^\n]*\{\n(.*?)^\}", hlo, re.M | re.S))
    launched = []

    def walk(name):
        types = {}
        for line in bodies[name].splitlines():
            found = re.match(r"\s+(?:ROOT )?%([\w.\-]+) = (\([^=]*?\)|\S+) ([\w\-]+)\((.*)", line)
            if not found:
                continue
            own, result, op, rest = found.groups()
            types[own] = result
            if op in MOVES_NOTHING:
                continue
            if op == "call":
                walk(re.search(r"to_apply=%([\w.\-]+)", rest).group(1))
                continue
            operands = set(re.findall(r"%([\w.\-]+)", rest.split("), ")[0]))
            target = re.search(r'custom_call_target="([^"]+)"', rest)
            moved = bytes_of(result) + sum(bytes_of(types.get(each, "")) for each in operands)
            launched.append((target.group(1) if target else op, re.sub(r"[.\d]+$", "", own), result, moved))

    walk(re.search(r"^ENTRY %([\w.\-]+) ", hlo, re.M).group(1))
    return launched


parser = argparse.ArgumentParser()
parser.add_argument("text")
parser.add_argument("--top", type=int, default=0, help="print so many kinds of kernels, those that move most first")
parser.add_argument("--devices", type=int, default=1, help="as many as the text was written for")
parser.add_argument("--hlo", help="write the compiled program there")
parser.add_argument("options", nargs="*", help="XLA options, name=value")
args = parser.parse_args()

folder = list(plugin.__path__)[0]
xla_bridge.register_plugin("cuda", library_path=os.path.join(folder, "xla_cuda_plugin.so"), priority=0)
topology = topologies.get_topology_desc("h200", "cuda", topology=f"1x1x{args.devices}", target_config=H200)
options = xla_client.CompileOptions()
options.num_replicas = args.devices
options.device_assignment = xla_client.DeviceAssignment.create(np.arange(args.devices, dtype=np.int32)[:, None])
given = {name: value(text) for name, text in (each.split("=") for each in args.options)}
options.env_option_overrides = list({**OPTIONS, **given}.items())
with mlir.make_ir_context():
    module = ir.Module.parse(open(args.text).read())
    started = time.perf_counter()
    program = topology.devices[0].client.compile(module, _jax.DeviceList(tuple(topology.devices)), options)
    seconds = time.perf_counter() - started
hlo = program.hlo_modules()[0].to_string()
if args.hlo:
    open(args.hlo, "w").write(hlo)
launched = kernels(hlo)
print(
    json.dumps(
        {
            "text": args.text,
            "kernels": len(launched),
            "kinds": collections.Counter(kind for kind, *_ in launched),
            "gigabytesMoved": round(sum(moved for *_, moved in launched) / 1e9, 3),
            "gigabytesMovedOutsideProducts": round(
                sum(moved for kind, *_, moved in launched if "cublas" not in kind) / 1e9, 3
            ),
            "temporaryGibibytes": round(program.get_compiled_memory_stats().temp_size_in_bytes / 2**30, 3),
            "compileSeconds": round(seconds, 1),
        }
    )
)
groups = collections.Counter()
counts = collections.Counter()
for kind, name, types, moved in launched:
    groups[kind, name, types] += moved
    counts[kind, name, types] += 1
for key, moved in groups.most_common(args.top):
    kind, name, types = key
    label = name if kind == "fusion" else kind
    print(f"{counts[key]:4d} × {moved / counts[key] / 1e6:8.1f} MB  {label:32s} {types[:100]}")

"""Runs a training step's text, as `gpu-step.mjs --dump` and `train --dump-program` write it, in JAX's C++ client.

    python scripts/bench/text_time.py DIR/A/train-step.mlir [--steps 20] [--blocks 5] [--device cuda] [--in-turns]
                                      [xla option=value ...]

Nothing is uploaded between steps and no result is looked at before a block ends: what our own loop takes longer is
what it adds. The options are those of src/engine/xla/index.ts. Prints one JSON line; `--in-turns`: as turns.mjs asks
for blocks.
"""

import argparse
import json
import os
import re
import statistics
import time

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax
import numpy as np
from jax._src import xla_bridge
from jax._src.interpreters import mlir
from jax._src.lib import _jax
from jax._src.lib.mlir import ir
from jaxlib import xla_client
from in_turns import turns

GPU_OPTIONS = {
    "xla_gpu_dot_merger_threshold_mb": 0,
    "xla_gpu_enable_triton_gemm": False,
    "xla_allow_excess_precision": False,
}
ARGUMENT = re.compile(r"%([\w.\-]+): tensor<([\dx]*)(f32|i32)>( \{tf\.aliasing_output = (\d+))?")
# Token ids: any that every vocabulary has.
IDS = 256


def value(text):
    if text in ("true", "false"):
        return text == "true"
    return int(text) if re.fullmatch(r"-?\d+", text) else text


def initial(name, shape, element, draws):
    """Ordinary weights, moments of 0, one batch of ids, and the scalars of an early step."""
    size = int(np.prod(shape))
    if element == "i32":
        return np.random.default_rng(0).integers(0, IDS, shape, dtype=np.int32)
    if name.endswith("scalars"):
        return np.array([3e-4, 1.0, 1.0], np.float32)
    if "Moment." in name:
        return np.zeros(shape, np.float32)
    return np.ones(shape, np.float32) if len(shape) == 1 else np.resize(draws, size).reshape(shape)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("text")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--in-turns", action="store_true")
    parser.add_argument("options", nargs="*", help="XLA options, name=value")
    args = parser.parse_args()
    client = xla_bridge.get_backend(args.device)
    device = client.local_devices()[0]
    text = open(args.text).read()
    arguments = [
        (name, [int(n) for n in dims.split("x") if n], element, output)
        for name, dims, element, _, output in ARGUMENT.findall(text.split("{\n", 2)[1].split("->")[0])
    ]
    options = xla_client.CompileOptions()
    given = {name: value(each) for name, each in (pair.split("=", 1) for pair in args.options)}
    overrides = {**(GPU_OPTIONS if args.device == "cuda" else {}), **given}
    options.env_option_overrides = list(overrides.items())
    started = time.perf_counter()
    with mlir.make_ir_context():
        program = client.compile_and_load(ir.Module.parse(text), _jax.DeviceList((device,)), options)
    seconds = time.perf_counter() - started
    draws = (0.02 * np.random.default_rng(1).standard_normal(2**20)).astype(np.float32)
    held = [jax.device_put(initial(name, shape, element, draws), device) for name, shape, element, _ in arguments]
    # The state that a step leaves is the next one's, argument by argument.
    outputs = [(i, int(output)) for i, (*_, output) in enumerate(arguments) if output]

    def step():
        results = program.execute_sharded(held).disassemble_into_single_device_arrays()
        for i, output in outputs:
            held[i] = results[output][0]
        return results[len(outputs)][0]

    for _ in range(10):
        metrics = step()
    metrics.block_until_ready()
    blocks = []
    for _ in turns(args):
        started = time.perf_counter()
        for _ in range(args.steps):
            metrics = step()
        metrics.block_until_ready()
        blocks.append((time.perf_counter() - started) * 1000 / args.steps)
        if args.in_turns:
            print(json.dumps({"block": blocks[-1]}), flush=True)
    print(
        json.dumps(
            {
                "text": args.text,
                "client": f"JAX {jax.__version__}",
                "milliseconds": round(statistics.median(blocks), 3) if blocks else None,
                "blocks": [round(b, 3) for b in blocks],
                "compileSeconds": round(seconds, 1),
                "metrics": [round(float(x), 5) for x in np.asarray(metrics).ravel()[:2]],
            }
        ),
        flush=True,
    )


main()

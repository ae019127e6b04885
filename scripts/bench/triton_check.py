"""Compiles the Triton kernels of StableHLO texts for compute capability 9.0, without a GPU.

    pip install triton && python scripts/bench/triton_check.py texts/A.mlir

One line a kernel: how often it is called, its registers, bytes spilled and shared, and how wide its loads and stores
are. The version of Triton is pip's: XLA brings its own, which gpu_compile.py runs.
"""

import os
import re
import subprocess
import sys
import tempfile

import triton
import triton.backends.nvidia
from triton.backends.compiler import GPUTarget

CALL = re.compile(r'ir = "([^"]*)", name = "(\w+)", num_stages = \d+ : i32, num_warps = (\d+)')
# Registers of a multiprocessor; threads that it holds.
REGISTERS, THREADS = 65536, 2048

calls = {}
for path in sys.argv[1:]:
    for found in CALL.finditer(open(path).read()):
        calls[found.groups()] = calls.get(found.groups(), 0) + 1
tools = os.path.join(os.path.dirname(triton.backends.nvidia.__file__), "bin")
failed = False
with tempfile.TemporaryDirectory() as folder:
    for number, ((text, name, warps), count) in enumerate(calls.items()):
        path = os.path.join(folder, f"{number}.ttir")
        with open(path, "w") as file:
            file.write(re.sub(r"\\([0-9A-F]{2})", lambda code: chr(int(code[1], 16)), text))
        try:
            kernel = triton.compile(path, target=GPUTarget("cuda", 90, 32), options={"num_warps": int(warps)})
        except Exception as error:
            print(f"{name}: {error}")
            failed = True
            continue
        binary = os.path.join(folder, f"{number}.cubin")
        with open(binary, "wb") as file:
            file.write(kernel.asm["cubin"])
        usage = subprocess.run([os.path.join(tools, "cuobjdump"), "-res-usage", binary], capture_output=True, text=True)
        figures = dict(re.findall(r"\b(REG|STACK|LOCAL):(\d+)", usage.stdout + usage.stderr))
        threads = 32 * int(warps)
        instances = min(REGISTERS // (int(figures["REG"]) * threads), THREADS // threads)
        ptx = kernel.asm["ptx"]
        widths = sorted(set(re.findall(r"\b(?:ld|st)\.global[\w.]*", ptx)))
        print(
            f"{count:3d} × {name}: {text.split(') {')[0].count('!tt.ptr<')} pointers, {warps} warps, "
            f"{figures['REG']} registers ({instances} instances at once), {figures['LOCAL']} spilled, "
            f"{kernel.metadata.shared} bytes shared, {ptx.count('cp.async.c')} asynchronous copies, {' '.join(widths)}"
        )
sys.exit(failed)

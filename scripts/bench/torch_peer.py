"""The peer on one GPU: PyTorch with torch.compile, without any data-parallel wrapper.

    python torch_peer.py [--models A,B,C] [--modes compile,eager] [--steps 20] [--blocks 5] [--in-turns] [--cpu]

The model and work of gpu-step.mjs (torch_model.py with ReLU, as in torch_ddp.py). Prints one JSON line for each size and mode.
`--in-turns`: as turns.mjs asks for blocks (one size and mode).
"""

import argparse
import json
import statistics
import time

import torch
import torch.nn as nn
from in_turns import turns
from torch_model import SHAPES, Model

parser = argparse.ArgumentParser()
parser.add_argument("--models", default="A,B,C")
parser.add_argument("--modes", default="compile")
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--blocks", type=int, default=5)
parser.add_argument("--in-turns", action="store_true")
parser.add_argument("--cpu", action="store_true", help="a dry run")
args = parser.parse_args()
device = "cpu" if args.cpu else "cuda"
wait = (lambda: None) if args.cpu else torch.cuda.synchronize
torch.set_float32_matmul_precision("high")


def measure(name, mode):
    *_, vocab, _, rows, seq = SHAPES[name]
    torch.manual_seed(0)
    torch._dynamo.reset()
    model = Model(SHAPES[name]).to(device)
    run = torch.compile(model) if mode == "compile" else model
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    x, y = torch.randint(vocab, (2, rows, seq), device=device)

    def step():
        with torch.autocast(device, torch.bfloat16):
            loss = run(x, y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return loss

    started = time.perf_counter()
    for _ in range(5):
        step()
    wait()
    warm = time.perf_counter() - started
    blocks = []
    for _ in turns(args):
        started = time.perf_counter()
        for _ in range(args.steps):
            loss = step()
        wait()
        blocks.append((time.perf_counter() - started) * 1000 / args.steps)
        if args.in_turns:
            print(json.dumps({"block": blocks[-1]}), flush=True)
    milliseconds = statistics.median(blocks)
    peak = 0 if args.cpu else torch.cuda.max_memory_allocated() / 2**30
    return {
        "peer": f"PyTorch {torch.__version__} {mode}",
        "model": name,
        "milliseconds": round(milliseconds, 3),
        "tokensPerSecond": round(rows * seq / milliseconds * 1000),
        "blocks": [round(b, 3) for b in blocks],
        "warmUpSeconds": round(warm, 1),
        "gibibytesPeak": round(peak, 2),
        "loss": round(loss.item(), 4),
    }


for model_name in args.models.split(","):
    for mode_name in args.modes.split(","):
        if not args.cpu:
            torch.cuda.reset_peak_memory_stats()
        print(json.dumps(measure(model_name, mode_name)), flush=True)

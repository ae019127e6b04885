"""The data-parallel peer: PyTorch DistributedDataParallel with torch.compile, one process a device.

    python torch_ddp.py [--devices 1,2] [--models A,B,C] [--steps 20] [--blocks 5] [--cpu]

The model and work of gpu-step.mjs: torch_model.py with ReLU, clip to norm 1, fused AdamW, bfloat16 autocast over
float32 weights, the same batch for each device. Prints one JSON line for each size and number of devices (median of
the blocks). `--cpu` is a dry run with gloo (`--models tiny`).
"""

import argparse
import json
import os
import statistics
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn as nn
from torch.nn.parallel import DistributedDataParallel
from torch_model import SHAPES, Model


def worker(rank, devices, args):
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29511")
    dist.init_process_group("gloo" if args.cpu else "nccl", rank=rank, world_size=devices)
    device = torch.device("cpu") if args.cpu else torch.device("cuda", rank)
    kind = device.type
    if not args.cpu:
        torch.cuda.set_device(device)
        torch.set_float32_matmul_precision("high")
    wait = (lambda: None) if args.cpu else torch.cuda.synchronize
    for name in args.models.split(","):
        *_, vocab, _, rows, seq = SHAPES[name]
        torch.manual_seed(0)
        torch._dynamo.reset()
        model = Model(SHAPES[name]).to(device)
        # One bucket view a gradient, no copies: DDP's fastest form.
        parallel = DistributedDataParallel(
            model,
            device_ids=None if args.cpu else [rank],
            gradient_as_bucket_view=True,
            broadcast_buffers=False,
        )
        run = parallel if args.cpu else torch.compile(parallel)
        optimiser = torch.optim.AdamW(
            model.parameters(), lr=3e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True
        )
        torch.manual_seed(1 + rank)
        x, y = torch.randint(vocab, (2, rows, seq), device=device)

        def step():
            with torch.autocast(kind, torch.bfloat16):
                loss = run(x, y)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            return loss

        started = time.perf_counter()
        for _ in range(5):
            loss = step()
        wait()
        warm = time.perf_counter() - started
        blocks = []
        for _ in range(args.blocks):
            dist.barrier()
            wait()
            started = time.perf_counter()
            for _ in range(args.steps):
                loss = step()
            wait()
            blocks.append((time.perf_counter() - started) * 1000 / args.steps)
        if rank == 0:
            milliseconds = statistics.median(blocks)
            result = {
                "peer": f"PyTorch {torch.__version__} DDP" + ("" if args.cpu else ", torch.compile"),
                "model": name,
                "devices": devices,
                "milliseconds": round(milliseconds, 3),
                "tokensPerSecond": round(devices * rows * seq / milliseconds * 1000),
                "blocks": [round(b, 3) for b in blocks],
                "warmUpSeconds": round(warm, 1),
                "loss": round(loss.item(), 4),
            }
            print(json.dumps(result), flush=True)
        del model, parallel, run, optimiser
    dist.destroy_process_group()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--devices", default="1,2")
    parser.add_argument("--models", default="A,B,C")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--cpu", action="store_true")
    args = parser.parse_args()
    for devices in map(int, args.devices.split(",")):
        mp.spawn(worker, args=(devices, args), nprocs=devices)


if __name__ == "__main__":
    main()

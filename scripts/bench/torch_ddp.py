"""The data-parallel peer: PyTorch DistributedDataParallel with torch.compile, one process a device.

    python torch_ddp.py [--devices 1,2] [--models A,B,C] [--steps 20] [--blocks 5] [--cpu]

The model and work of gpu-step.mjs: RMSNorm, rotary positions, causal SDPA, ReGLU, tied head, cross-entropy, clip to
norm 1, fused AdamW, bfloat16 autocast over float32 weights, the same batch for each device. Prints one JSON line for
each size and number of devices (median of the blocks). `--cpu` is a dry run of the size `tiny` with gloo.
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
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

# width, layers, ff, vocabulary, heads, rows a device, sequence length
SHAPES = {
    "A": (768, 4, 2048, 4096, 12, 32, 512),
    "B": (256, 8, 768, 4096, 4, 64, 512),
    "C": (768, 16, 1920, 4096, 6, 16, 1024),
    "tiny": (64, 2, 172, 512, 4, 16, 64),
}


def rotated(x, cos, sin):
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1).to(x.dtype)


class Block(nn.Module):
    def __init__(self, width, heads, ff):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.RMSNorm(width, eps=1e-5), nn.RMSNorm(width, eps=1e-5)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * ff, bias=False)
        self.down = nn.Linear(ff, width, bias=False)

    def forward(self, x, cos, sin):
        b, t, d = x.shape
        qkv = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, d // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(rotated(q, cos, sin), rotated(k, cos, sin), v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, d))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, -1)
        return x + self.down(F.relu(gate) * up)


class Model(nn.Module):
    def __init__(self, width, layers, ff, vocab, heads, seq):
        super().__init__()
        self.embedding = nn.Embedding(vocab, width)
        self.blocks = nn.ModuleList(Block(width, heads, ff) for _ in range(layers))
        self.norm = nn.RMSNorm(width, eps=1e-5)
        for p in self.parameters():
            if p.ndim == 2:
                nn.init.normal_(p, std=0.02)
        half = width // heads // 2
        angles = torch.outer(torch.arange(seq).float(), 10000.0 ** (-torch.arange(half).float() / half))
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, ids, targets):
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = self.norm(x) @ self.embedding.weight.T
        return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())


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
        width, layers, ff, vocab, heads, rows, seq = SHAPES[name]
        torch.manual_seed(0)
        torch._dynamo.reset()
        model = Model(width, layers, ff, vocab, heads, seq).to(device)
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

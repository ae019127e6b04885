"""The PyTorch peer of scripts/bench/train-step.mjs: the same model, loss, clipping and AdamW on the CPU.

    python step_torch.py small|base [rounds] [eager|compile]

Prints one JSON line with the milliseconds a step of each round. Needs torch alone (model: torch_model.py).
"""

import json
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch_model import SHAPES, Model

STEPS = {"small": 40, "base": 10}


def main():
    name = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    mode = sys.argv[3] if len(sys.argv) > 3 else "eager"
    *_, vocab, _, rows, seq = SHAPES[name]
    steps = STEPS[name]
    torch.manual_seed(0)
    torch.set_num_threads(2)
    model = Model(SHAPES[name], F.silu)
    matrices = [p for p in model.parameters() if p.ndim == 2]
    gains = [p for p in model.parameters() if p.ndim == 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": gains, "weight_decay": 0.0}],
        lr=1e-3,
        betas=(0.9, 0.95),
        eps=1e-8,
        fused=True,
    )
    run = torch.compile(model) if mode == "compile" else model
    count = 0

    def step():
        nonlocal count
        count += 1
        tokens = ((torch.arange(rows * (seq + 1)) * 31 + count * 17) % vocab).view(rows, seq + 1)
        loss = run(tokens[:, :-1], tokens[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return loss

    first = step().item()
    for _ in range(5):
        step()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(steps):
            loss = step()
        loss.item()
        times.append((time.perf_counter() - start) * 1000 / steps)
    result = {"what": f"PyTorch {torch.__version__} {mode}", "firstLoss": first, "ms": times, "tokens": rows * seq}
    print(json.dumps(result))


main()

"""The PyTorch peer of scripts/bench/train-step.mjs: the same model, loss, clipping and AdamW on the CPU.

    python step_torch.py small|base [rounds] [eager|compile]

Prints one JSON line with the milliseconds a step of each round. Needs torch alone.
"""

import json
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

# width, layers, ff, vocabulary, heads, rows, sequence length, steps a round
SIZES = {
    "small": (64, 2, 172, 512, 4, 16, 64, 40),
    "base": (128, 4, 344, 1024, 4, 16, 128, 10),
}


def rotated(x, cos, sin):
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


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
        return x + self.down(F.silu(gate) * up)


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
        return F.cross_entropy((self.norm(x) @ self.embedding.weight.T).flatten(0, 1), targets.flatten())


def main():
    name = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    mode = sys.argv[3] if len(sys.argv) > 3 else "eager"
    width, layers, ff, vocab, heads, rows, seq, steps = SIZES[name]
    torch.manual_seed(0)
    torch.set_num_threads(2)
    model = Model(width, layers, ff, vocab, heads, seq)
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

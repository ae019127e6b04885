"""The model of the PyTorch peers (step_torch.py, torch_peer.py, torch_ddp.py): that of train-step.mjs and gpu-step.mjs.

RMSNorm, rotary positions, causal attention, a gated FFN, a tied head, mean cross-entropy.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

# width, layers, ff, vocabulary, heads, rows (of one device), sequence length
SHAPES = {
    "A": (768, 4, 2048, 4096, 12, 32, 512),
    "B": (256, 8, 768, 4096, 4, 64, 512),
    "C": (768, 16, 1920, 4096, 6, 16, 1024),
    "tiny": (64, 2, 172, 512, 4, 16, 64),
    "small": (64, 2, 172, 512, 4, 16, 64),
    "base": (128, 4, 344, 1024, 4, 16, 128),
}


def rotated(x, cos, sin):
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1).to(x.dtype)


class Block(nn.Module):
    def __init__(self, width, heads, ff, act):
        super().__init__()
        self.heads, self.act = heads, act
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
        return x + self.down(self.act(gate) * up)


class Model(nn.Module):
    """Mean loss in nats of [rows, seq] ids and their targets; `act` of the gate: F.relu or F.silu."""

    def __init__(self, shape, act=F.relu):
        super().__init__()
        width, layers, ff, vocab, heads, _, seq = shape
        self.embedding = nn.Embedding(vocab, width)
        self.blocks = nn.ModuleList(Block(width, heads, ff, act) for _ in range(layers))
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

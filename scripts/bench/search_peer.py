"""A PPL-p% search in PyTorch on CPU, the peer of search.mjs. Needs torch and safetensors.

    python scripts/bench/search_peer.py DIR     writes DIR (weights, ids) when it is not there, then searches

The model is a random Llama of 10M parameters and the text is sampled from it, so that dropping neurons costs
perplexity without any training. The search is a careful one: thresholds bracketed on a table of CETT values of the
calibration tokens, whose activations are kept in memory, then 12 bisection steps of one masked pass each.
"""

import json
import math
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

LAYERS, WIDTH, FF, HEADS, VOCAB = 8, 256, 1024, 8, 4096
# Calibration tokens in the share that `measure` takes by default, a sixteenth.
WINDOWS, SEQ, CALIBRATION, BATCH = 256, 64, 1024, 64
STEPS, TABLE, REFINE = 12, 48, 6
HEAD = WIDTH // HEADS


def make(folder: Path) -> None:
    folder.mkdir(parents=True)
    gen = torch.Generator().manual_seed(0)
    normal = lambda *shape, std: torch.randn(*shape, generator=gen) * std
    w = {"model.embed_tokens.weight": normal(VOCAB, WIDTH, std=1.0)}
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            w[f"{p}self_attn.{name}.weight"] = normal(WIDTH, WIDTH, std=0.05)
        for name in ("gate_proj", "up_proj"):
            w[f"{p}mlp.{name}.weight"] = normal(FF, WIDTH, std=0.06)
        w[f"{p}mlp.down_proj.weight"] = normal(WIDTH, FF, std=0.02)
        for name in ("input_layernorm", "post_attention_layernorm"):
            w[f"{p}{name}.weight"] = torch.ones(WIDTH)
    w["model.norm.weight"] = torch.ones(WIDTH)
    w["lm_head.weight"] = normal(VOCAB, WIDTH, std=0.15)
    save_file(w, str(folder / "model.safetensors"))
    config = dict(
        model_type="llama", architectures=["LlamaForCausalLM"], hidden_act="relu", vocab_size=VOCAB,
        hidden_size=WIDTH, intermediate_size=FF, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        num_key_value_heads=HEADS, head_dim=HEAD, max_position_embeddings=SEQ, rms_norm_eps=1e-5,
        rope_theta=10000.0, rope_scaling=None, attention_bias=False, mlp_bias=False, tie_word_embeddings=False,
    )
    (folder / "config.json").write_text(json.dumps(config))
    ids = torch.randint(VOCAB, (WINDOWS, 1), generator=gen)
    cache = [None] * LAYERS
    while ids.shape[1] <= SEQ:
        x = forward(w, ids[:, -1:], start=ids.shape[1] - 1, cache=cache)
        ids = torch.cat((ids, torch.multinomial(F.softmax(x[:, -1], -1), 1, generator=gen)), 1)
    bench = dict(seqLen=SEQ, calibrationTokens=CALIBRATION, batchWindows=BATCH)
    (folder / "bench.json").write_text(json.dumps(bench))
    (folder / "ids.bin").write_bytes(ids.to(torch.int32).numpy().tobytes())


def rms(x, gain):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * gain


def forward(w, ids, tap=None, start=0, cache=None):
    batch, length = ids.shape
    at = torch.arange(start, start + length).float()
    angles = torch.outer(at, 10000.0 ** (-torch.arange(0, HEAD, 2).float() / HEAD)).repeat(1, 2)
    cos, sin = angles.cos(), angles.sin()

    def turn(z):
        half = HEAD // 2
        return z * cos + torch.cat((-z[..., half:], z[..., :half]), -1) * sin

    x = w["model.embed_tokens.weight"][ids]
    for i in range(LAYERS):
        p = f"model.layers.{i}."
        y = rms(x, w[p + "input_layernorm.weight"])
        q, k, v = (
            (y @ w[f"{p}self_attn.{n}_proj.weight"].T).view(batch, length, HEADS, HEAD).transpose(1, 2) for n in "qkv"
        )
        q, k = turn(q), turn(k)
        if cache is not None:
            if cache[i] is not None:
                k, v = torch.cat((cache[i][0], k), 2), torch.cat((cache[i][1], v), 2)
            cache[i] = (k, v)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=cache is None)
        x = x + mixed.transpose(1, 2).reshape(batch, length, WIDTH) @ w[p + "self_attn.o_proj.weight"].T
        y = rms(x, w[p + "post_attention_layernorm.weight"])
        h = F.relu(y @ w[p + "mlp.gate_proj.weight"].T) * (y @ w[p + "mlp.up_proj.weight"].T)
        if tap is not None:
            h = tap(i, h)
        x = x + h @ w[p + "mlp.down_proj.weight"].T
    return rms(x, w["model.norm.weight"]) @ w["lm_head.weight"].T


def main():
    folder = Path(sys.argv[1])
    torch.manual_seed(0)
    with torch.inference_mode():
        if not folder.exists():
            make(folder)
        w = load_file(str(folder / "model.safetensors"))
        ids = torch.frombuffer(bytearray((folder / "ids.bin").read_bytes()), dtype=torch.int32).long()
        ids = ids.view(WINDOWS, SEQ + 1)
        down = [w[f"model.layers.{i}.mlp.down_proj.weight"] for i in range(LAYERS)]
        norms = [d.norm(dim=0) for d in down]

        def loss(tap=None):
            total = 0.0
            for rows in ids.split(BATCH):
                scores = forward(w, rows[:, :-1], tap)
                total += F.cross_entropy(scores.reshape(-1, VOCAB), rows[:, 1:].reshape(-1), reduction="sum").item()
            return total / (WINDOWS * SEQ)

        def tables():
            kept = [[] for _ in range(LAYERS)]

            def keep(i, h):
                kept[i].append(h.reshape(-1, FF))
                return h

            forward(w, ids[:: WINDOWS * SEQ // CALIBRATION, :-1], keep)
            out = []
            for i in range(LAYERS):
                h = torch.cat(kept[i])
                n = h.abs() * norms[i]
                sample = n.flatten()[::61].sort().values
                sample = sample[sample > 0]
                grid = sample[(torch.linspace(0, 1, TABLE).sqrt() * (len(sample) - 1)).long()]
                y = (h @ down[i].T).norm(dim=1)

                def cett(eps, h=h, n=n, y=y, d=down[i]):
                    e = (torch.where(n < eps, h, 0.0) @ d.T).norm(dim=1)
                    return torch.where(e == 0, e, e / y).mean().item()

                out.append((grid.tolist(), [cett(e) for e in grid], cett))
            return out

        def thresholds(found, c):
            eps = []
            for grid, curve, cett in found:
                above = next((k for k, v in enumerate(curve) if v > c), len(grid) - 1)
                low, high = grid[max(0, above - 1)], grid[above]
                for _ in range(REFINE):
                    middle = (low + high) / 2
                    if cett(middle) <= c:
                        low = middle
                    else:
                        high = middle
                eps.append(low)
            return eps

        def search():
            begun, used = time.perf_counter(), time.process_time()
            dense = loss()
            found = tables()
            left, right = 0.0, 1.0
            for _ in range(STEPS):
                c = (left + right) / 2
                eps = thresholds(found, c)
                sparse = loss(lambda i, h: torch.where(h.abs() * norms[i] < eps[i], 0.0, h))
                if math.exp(sparse - dense) < 1.01:
                    left = c
                else:
                    right = c
            eps, active = thresholds(found, left), [0] * LAYERS

            def count(i, h):
                h = torch.where(h.abs() * norms[i] < eps[i], 0.0, h)
                active[i] += int(h.count_nonzero())
                return h

            ratio = math.exp(loss(count) - dense)
            return dict(seconds=time.perf_counter() - begun, processorSeconds=time.process_time() - used, cett=left, ratio=ratio,
                        activationRatio=sum(active) / (LAYERS * FF * WINDOWS * SEQ))

        begun = time.perf_counter()
        loss()
        passed = time.perf_counter() - begun
        print(json.dumps(dict(torch=torch.__version__, threads=torch.get_num_threads(),
                              densePassSeconds=passed, **search())))


main()

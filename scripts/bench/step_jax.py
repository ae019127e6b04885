"""The JAX peer of scripts/bench/train-step.mjs: the same model, loss, clipping and AdamW on the CPU.

    python step_jax.py small|base [rounds]            milliseconds a step, as one JSON line
    python step_jax.py small|base --text FILE.mlir    its StableHLO, for scripts/bench/step-text.mjs

Needs jax (CPU) alone.
"""

import json
import sys
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

# width, layers, ff, vocabulary, heads, rows, sequence length, steps a round
SIZES = {
    "small": (64, 2, 172, 512, 4, 16, 64, 40),
    "base": (128, 4, 344, 1024, 4, 16, 128, 10),
}
EPSILON = 1e-5


def initial(width, layers, ff, vocab):
    keys = iter(jax.random.split(jax.random.key(0), 1 + 7 * layers))
    normal = lambda *shape: jax.random.normal(next(keys), shape) * 0.02
    params = {"embedding": normal(vocab, width), "norm": jnp.ones(width)}
    for i in range(layers):
        for part in "qkvo":
            params[f"{part}{i}"] = normal(width, width)
        params |= {f"gate{i}": normal(ff, width), f"up{i}": normal(ff, width), f"down{i}": normal(width, ff)}
        params |= {f"norm1{i}": jnp.ones(width), f"norm2{i}": jnp.ones(width)}
    return params


def rms(x, gain):
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + EPSILON) * gain


def loss_of(params, tokens, heads, layers):
    ids, targets = tokens[:, :-1], tokens[:, 1:]
    b, t = ids.shape
    x = params["embedding"][ids]
    d = x.shape[-1]
    half = d // heads // 2
    angles = jnp.outer(jnp.arange(t, dtype=jnp.float32), 10000.0 ** (-jnp.arange(half) / half))
    cos, sin = jnp.cos(angles)[:, None], jnp.sin(angles)[:, None]
    mask = jnp.tril(jnp.ones((t, t), bool))

    def rotated(z):
        first, second = jnp.split(z, 2, -1)
        return jnp.concatenate((first * cos - second * sin, second * cos + first * sin), -1)

    for i in range(layers):
        z = rms(x, params[f"norm1{i}"])
        split = lambda part: (z @ params[f"{part}{i}"].T).reshape(b, t, heads, d // heads)
        q, k, v = rotated(split("q")), rotated(split("k")), split("v")
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(d // heads)
        weights = jax.nn.softmax(jnp.where(mask, scores, -1e9))
        mixed = jnp.einsum("bhqk,bkhd->bqhd", weights, v).reshape(b, t, d)
        x = x + mixed @ params[f"o{i}"].T
        z = rms(x, params[f"norm2{i}"])
        x = x + (jax.nn.silu(z @ params[f"gate{i}"].T) * (z @ params[f"up{i}"].T)) @ params[f"down{i}"].T
    logits = rms(x, params["norm"]) @ params["embedding"].T
    picked = jnp.take_along_axis(logits, targets[..., None], -1)[..., 0]
    return jnp.mean(jax.nn.logsumexp(logits, -1) - picked)


@partial(jax.jit, static_argnums=(5, 6), donate_argnums=(0, 1, 2))
def step(params, first, second, tokens, scalars, heads, layers):
    rate, c1, c2 = scalars
    loss, grads = jax.value_and_grad(loss_of)(params, tokens, heads, layers)
    norm = jnp.sqrt(sum(jnp.sum(g * g) for g in jax.tree.leaves(grads)))
    scale = jnp.minimum(1.0 / (norm + 1e-6), 1.0)
    grads = jax.tree.map(lambda g: g * scale, grads)
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, grads)
    second = jax.tree.map(lambda v, g: 0.95 * v + 0.05 * g * g, second, grads)
    update = lambda p, m, v: p * (1 - rate * (0.1 if p.ndim == 2 else 0.0)) - rate * (m * c1) / (
        jnp.sqrt(v * c2) + 1e-8
    )
    return jax.tree.map(update, params, first, second), first, second, jnp.stack([loss, norm])


def main():
    name = sys.argv[1]
    width, layers, ff, vocab, heads, rows, seq, steps = SIZES[name]
    params = initial(width, layers, ff, vocab)
    state = [params, jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params)]

    def tokens_of(count):
        ids = (np.arange(rows * (seq + 1), dtype=np.int32) * 31 + count * 17) % vocab
        return ids.reshape(rows, seq + 1)

    def scalars_of(count):
        return np.array([1e-3, 1 / (1 - 0.9**count), 1 / (1 - 0.95**count)], np.float32)

    if len(sys.argv) > 3 and sys.argv[2] == "--text":
        lowered = step.lower(*state, tokens_of(1), scalars_of(1), heads, layers)
        with open(sys.argv[3], "w") as file:
            file.write(lowered.as_text())
        return
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    count = 0

    def one():
        nonlocal count, state
        count += 1
        *state, metrics = step(*state, tokens_of(count), scalars_of(count), heads, layers)
        return metrics

    start = time.perf_counter()
    first = float(one()[0])
    compiled = time.perf_counter() - start
    for _ in range(5):
        one()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(steps):
            metrics = one()
        metrics.block_until_ready()
        times.append((time.perf_counter() - start) * 1000 / steps)
    print(
        json.dumps(
            {
                "what": f"JAX {jax.__version__}",
                "firstLoss": first,
                "ms": times,
                "tokens": rows * seq,
                "compileSeconds": compiled,
            }
        )
    )


main()

"""Runs a peer's PPL-p% search and writes the model it trained and the ids it measures, so that search.mjs can do the
same work. Needs torch; the peer is a script that defines LM (with blocks, emb, norm), synthetic() and main().

    python scripts/bench/search_peer_dump.py bench_ppl_search_torch.py DIR [--model-seed N] --batch 128 --modes compile
    node scripts/bench/search.mjs DIR
"""

import importlib.util
import json
import struct
import sys
from pathlib import Path

import torch

spec = importlib.util.spec_from_file_location("peer", sys.argv[1])
peer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(peer)
folder = Path(sys.argv[2])
sys.argv = [sys.argv[1], *sys.argv[3:]]
if "--model-seed" in sys.argv:  # another model of the same shape than the peer's own seed makes
    at = sys.argv.index("--model-seed")
    model_seed, seeded = int(sys.argv[at + 1]), torch.manual_seed
    del sys.argv[at : at + 2]
    torch.manual_seed = lambda _: seeded(model_seed)
folder.mkdir(parents=True, exist_ok=True)


def tensors(model):
    yield "model.embed_tokens.weight", model.emb.weight
    yield "model.norm.weight", model.norm.weight
    for i, block in enumerate(model.blocks):
        p = f"model.layers.{i}."
        yield p + "input_layernorm.weight", block.n1.weight
        yield p + "post_attention_layernorm.weight", block.n2.weight
        for name, part in zip("qkv", block.qkv.weight.chunk(3)):
            yield f"{p}self_attn.{name}_proj.weight", part
        yield p + "self_attn.o_proj.weight", block.o.weight
        gate, up = block.gate_up.weight.chunk(2)
        yield p + "mlp.gate_proj.weight", gate
        yield p + "mlp.up_proj.weight", up
        yield p + "mlp.down_proj.weight", block.down.weight


def save(model):
    header, parts, at = {}, [], 0
    for name, tensor in tensors(model):
        data = tensor.detach().float().cpu().contiguous().numpy().tobytes()
        header[name] = dict(dtype="F32", shape=list(tensor.shape), data_offsets=[at, at + len(data)])
        parts.append(data)
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))
    block, width = model.blocks[0], model.emb.weight.shape[1]
    config = dict(
        model_type="llama", architectures=["LlamaForCausalLM"], hidden_act=block.act, hidden_size=width,
        vocab_size=model.emb.weight.shape[0], intermediate_size=block.down.weight.shape[1],
        num_hidden_layers=len(model.blocks), num_attention_heads=block.heads, num_key_value_heads=block.heads,
        head_dim=width // block.heads, max_position_embeddings=model.cos.shape[0], rms_norm_eps=1e-5,
        rope_theta=10000.0, rope_scaling=None, attention_bias=False, mlp_bias=False, tie_word_embeddings=True,
    )
    (folder / "config.json").write_text(json.dumps(config))


class Saved(peer.LM):
    def eval(self):
        save(self)
        return super().eval()


made = peer.synthetic


def synthetic(windows, seq, vocab, device, seed):
    ids = made(windows, seq, vocab, device, seed)
    if seed == 2:  # the text that is measured, not the one that is trained on
        (folder / "ids.bin").write_bytes(ids.to(torch.int32).cpu().numpy().tobytes())
    return ids


option = lambda name, default: int(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else default
toy = "--toy" in sys.argv
bench = dict(seqLen=64 if toy else option("--seq", 512), calibrationTokens=2048 if toy else option("--sample", 16384),
             batchWindows=32 if toy else option("--batch", 64))
(folder / "bench.json").write_text(json.dumps(bench))
peer.LM, peer.synthetic = Saved, synthetic
peer.main()

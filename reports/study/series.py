"""A checkpoint series that sparselaw did not make: PyTorch and transformers train a Llama on the study's tokens.

    python series.py CORPUS OUT --tokens 100M
    sparselaw measure OUT/step-* --series OUT/series.csv --data CORPUS --out OUT/sparsity

Writes OUT/step-NNNNNN (config.json, model.safetensors, tokenizer.json, as `save_pretrained` does) and OUT/series.csv, which
says where in training each stands. Same recipe as the study's runs where that is one line: AdamW (0.9, 0.95), weight
decay 0.1, clipping at 1, 2 % warm-up, constant rate, 64 windows of 512 tokens a batch; but no μP.
"""

import argparse
import csv
import json
import pathlib
import shutil
import time

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

HEADER_BYTES = 64  # of a token shard; uint16 ids follow


def tokens_of(corpus: pathlib.Path) -> np.ndarray:
    shards = json.loads((corpus / "manifest.json").read_text())["splits"]["train"]["shards"]
    return np.concatenate([np.fromfile(corpus / s["file"], np.uint16, offset=HEADER_BYTES) for s in shards])


def number(text: str) -> int:
    return int(float(text[:-1]) * 1e6) if text.endswith("M") else int(text)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--tokens", type=number, default=100_000_000)
    parser.add_argument("--width", type=int, default=144)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--activation", default="relu")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--checkpoints", type=int, default=12)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)

    config = LlamaConfig(
        vocab_size=4096,
        hidden_size=args.width,
        intermediate_size=args.width * 5 // 2,
        num_hidden_layers=args.layers,
        num_attention_heads=max(1, args.width // 48),
        hidden_act=args.activation,
        max_position_embeddings=args.length,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
        use_cache=False,
    )
    model = LlamaForCausalLM(config).to(device)
    step_model = torch.compile(model) if device == "cuda" else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.rate, betas=(0.9, 0.95), weight_decay=0.1)

    ids = torch.from_numpy(tokens_of(args.corpus).astype(np.int64)).to(device)
    windows = (len(ids) - 1) // args.length
    order = torch.randperm(windows, generator=torch.Generator().manual_seed(0)).to(device)
    offsets = torch.arange(args.length + 1, device=device)
    steps = args.tokens // (args.batch * args.length)
    # Log-spaced from a fiftieth of the run to its end.
    due = {round(steps * 50 ** (i / (args.checkpoints - 1) - 1)) for i in range(args.checkpoints)} - {0}

    args.out.mkdir(parents=True, exist_ok=True)
    rows, started = [], time.time()
    for step in range(1, steps + 1):
        picks = order[torch.arange((step - 1) * args.batch, step * args.batch, device=device) % windows]
        batch = ids[picks[:, None] * args.length + offsets]
        for group in optimizer.param_groups:
            group["lr"] = args.rate * min(1.0, step / max(1, steps // 50))
        with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
            logits = step_model(input_ids=batch[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step in due:
            folder = args.out / f"step-{step:06d}"
            model.save_pretrained(folder)
            shutil.copy(args.corpus / "tokenizer.json", folder)
            seen = step * args.batch * args.length
            rows.append({"checkpoint": folder.name, "run_id": f"pytorch-{args.activation}", "tokens": seen, "step": step})
            with open(args.out / "series.csv", "w", newline="") as file:
                writer = csv.DictWriter(file, ["checkpoint", "run_id", "tokens", "step"])
                writer.writeheader()
                writer.writerows(rows)
            print(f"step {step}: loss {loss.item():.4f}, {seen / (time.time() - started):.0f} tokens/s", flush=True)


if __name__ == "__main__":
    main()

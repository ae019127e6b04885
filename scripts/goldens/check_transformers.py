"""Loads checkpoint folders with transformers and prints their logits, or compares them with ours.

    python scripts/goldens/check_transformers.py CHECKPOINT               # logits as JSON
    python scripts/goldens/check_transformers.py CHECKPOINT OURS.json     # largest difference; fails above 2e-4

OURS.json comes from scripts/goldens/logits.mjs. Needs torch and transformers.
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

LENGTH = 24


def main(checkpoint, ours=None):
    model, report = AutoModelForCausalLM.from_pretrained(
        checkpoint, dtype=torch.float32, attn_implementation="eager", output_loading_info=True,
    )
    leftovers = {key: sorted(names) for key, names in report.items() if names}
    if leftovers:
        sys.exit(f"{checkpoint}: transformers did not load every tensor: {leftovers}")
    tokens = [(i * i + 7 * i) % model.config.vocab_size for i in range(LENGTH)]
    with torch.no_grad():
        logits = model.eval()(input_ids=torch.tensor([tokens]), use_cache=False).logits[0]
    if ours is None:
        print(json.dumps({"tokens": tokens, "logits": logits.tolist()}))
        return
    with open(ours) as file:
        expected = json.load(file)
    assert expected["tokens"] == tokens
    worst = (logits - torch.tensor(expected["logits"])).abs().max().item()
    text = AutoTokenizer.from_pretrained(checkpoint).decode(tokens[:4])
    print(f"{type(model).__name__}: largest difference {worst:.2g} of logits up to {logits.abs().max():.3g}; decodes {text!r}")
    if not worst < 2e-4:
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])

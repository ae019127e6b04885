"""Tiny random checkpoints of every foreign family with transformers' logits, for test/model/families.

    python scripts/goldens/families.py fixtures/parity/families

Needs torch, transformers, safetensors. Each case is a folder as transformers writes it (config.json,
model.safetensors) with `expected.safetensors` (tokens [1, T], logits [T, V]). Cases of `VARIANTS` share their
base case's weights and add only a config.json and the logits.
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

VOCABULARY, LENGTH = 32, 20
IDS = dict(bos_token_id=None, eos_token_id=None, pad_token_id=None)
SIZES = dict(
    vocab_size=VOCABULARY, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=64, **IDS,
)


def without(sizes, *keys):
    return {k: v for k, v in sizes.items() if k not in keys}


NEOX = dict(without(SIZES, "num_key_value_heads"), hidden_act="gelu", rotary_pct=0.5)
MUP = dict(scale_emb=12, scale_depth=1.4, dim_model_base=4)

CASES = {
    "llama": ("llama", dict(SIZES, attention_bias=True, mlp_bias=True, rms_norm_eps=1e-5, head_dim=8, rope_theta=500.0)),
    "mistral": ("mistral", dict(SIZES, head_dim=8, sliding_window=5)),
    "qwen2": ("qwen2", dict(SIZES, tie_word_embeddings=True, use_sliding_window=True, sliding_window=6, max_window_layers=1)),
    "qwen3": ("qwen3", dict(SIZES, head_dim=6)),
    "gemma": ("gemma", dict(SIZES, num_key_value_heads=1, head_dim=6)),
    "gemma2": ("gemma2", dict(SIZES, head_dim=6, query_pre_attn_scalar=10, sliding_window=5,
                              attn_logit_softcapping=2.0, final_logit_softcapping=3.0)),
    "olmo2": ("olmo2", dict(SIZES)),
    "arcee": ("arcee", dict(SIZES)),
    # MiniCPM's class is not in transformers; Granite computes the same from other keys (see `minicpm_config`).
    "minicpm": ("granite", dict(
        SIZES, tie_word_embeddings=True, rms_norm_eps=1e-5, embedding_multiplier=MUP["scale_emb"],
        residual_multiplier=MUP["scale_depth"] / 2**0.5, attention_multiplier=4**-0.5,
        logits_scaling=16 / MUP["dim_model_base"])),
    "gpt_neox": ("gpt_neox", NEOX),
    "gpt_neox-sequential": ("gpt_neox", dict(NEOX, use_parallel_residual=False, rotary_pct=1.0, hidden_act="relu")),
    "opt": ("opt", dict(vocab_size=VOCABULARY, hidden_size=16, ffn_dim=24, num_hidden_layers=2, num_attention_heads=4,
                        max_position_embeddings=32, **IDS)),
    "gpt2": ("gpt2", dict(vocab_size=VOCABULARY, n_embd=16, n_inner=24, n_layer=2, n_head=4, n_positions=32, **IDS)),
}

# RoPE's scaling types, on the Llama's weights; short original contexts, so that every branch is taken.
SHORT = dict(original_max_position_embeddings=12)
VARIANTS = {
    "llama-linear": dict(rope_type="linear", factor=4.0),
    "llama-dynamic": dict(rope_type="dynamic", factor=2.0),
    "llama-llama3": dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                         original_max_position_embeddings=32),
    "llama-yarn": dict(rope_type="yarn", factor=4.0, beta_fast=8.0, **SHORT),
    "llama-longrope": dict(rope_type="longrope", factor=4.0, short_factor=[1.0, 1.1, 1.2, 1.3],
                           long_factor=[1.5, 2.0, 3.0, 4.0], **SHORT),
}


def randomise(model, generator):
    """Weights far from their initial values: gains away from 1, biases away from 0."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        is_gain = "norm" in name or ".ln_" in name
        centre = parameter.detach().mean() if is_gain and name.endswith("weight") else 0.0
        parameter.data = centre + (0.2 if parameter.ndim == 1 else 0.4) * noise


def minicpm_config():
    """As the checkpoints of OpenBMB write it."""
    return dict(
        architectures=["MiniCPMForCausalLM"], model_type="minicpm", hidden_act="silu", hidden_size=16,
        intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=VOCABULARY,
        max_position_embeddings=64, rms_norm_eps=1e-5, rope_scaling=None, torch_dtype="float32", use_cache=True,
        initializer_range=0.1, bos_token_id=1, eos_token_id=2, **MUP,
    )


def save(folder, config, model, tokens, weights):
    folder.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        logits = model(input_ids=tokens, use_cache=False).logits[0]
    if weights:
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file({"tokens": tokens.to(torch.int32), "logits": logits.contiguous()}, folder / "expected.safetensors")
    for path in folder.iterdir():
        path.chmod(0o644)
    print(folder.name, tuple(logits.shape), round(logits.std().item(), 3))


def build(kind, settings):
    config = AutoConfig.for_model(kind, **settings)
    config._attn_implementation = "eager"
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()


def main(out):
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(2)
    print("torch", torch.__version__, "transformers", transformers.__version__)
    for name, (kind, settings) in CASES.items():
        model = build(kind, settings)
        randomise(model, generator)
        tokens = torch.randint(0, VOCABULARY, (1, LENGTH), generator=generator)
        config = minicpm_config() if name == "minicpm" else model.config.to_dict()
        save(out / name, config, model, tokens, weights=True)
        if name != "llama":
            continue
        state = model.state_dict()
        for variant, scaling in VARIANTS.items():
            short = dict(max_position_embeddings=12) if variant == "llama-dynamic" else {}
            other = build(kind, dict(without(settings, "rope_theta"), **short, rope_parameters=dict(scaling, rope_theta=500.0)))
            other.load_state_dict(state)
            save(out / variant, other.config.to_dict(), other, tokens, weights=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

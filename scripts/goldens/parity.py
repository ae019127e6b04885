"""Values that test/model/parity.test.ts compares with: tiny Llamas of transformers, trained ten steps by PyTorch.

    python scripts/goldens/parity.py fixtures/parity

Needs torch, transformers, safetensors. Writes one checkpoint (`initial.safetensors`, shared by every case),
and for each case `<case>.json` (configuration, tokens, losses, gradient norms) and `<case>.safetensors`
(logits before training, all gradients of the first and the last step, the weights after it).
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import ArceeConfig, ArceeForCausalLM, GraniteConfig, GraniteForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaMLP

STEPS, BATCH, LENGTH, VOCABULARY = 10, 4, 12, 32
SIZES = dict(
    hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    head_dim=4, vocab_size=VOCABULARY, rms_norm_eps=1e-5, max_position_embeddings=64, attention_bias=False,
    bos_token_id=None, eos_token_id=None, attn_implementation="eager",
)
# The clip is reached in some steps and not in others (asserted below), so both branches are compared.
OPTIMISER = dict(beta1=0.9, beta2=0.95, epsilon=1e-8, weightDecay=0.1, clip=3.5)
RATES = [0.002, 0.004, 0.006, 0.008, 0.01, 0.01, 0.01, 0.008, 0.006, 0.004]
MUP = dict(scaleEmbedding=12.0, scaleDepth=1.4, widthBase=4)


class DoubleRectifiedMLP(LlamaMLP):
    """ReLU on gate and up (dReLU), which transformers does not have."""

    def forward(self, x):
        return self.down_proj(torch.relu(self.gate_proj(x)) * torch.relu(self.up_proj(x)))


def llama(activation, tied):
    return LlamaForCausalLM(LlamaConfig(**SIZES, hidden_act=activation, tie_word_embeddings=tied, rope_theta=10000.0))


def double_rectified():
    model = llama("relu", False)
    for layer in model.model.layers:
        layer.mlp = DoubleRectifiedMLP(model.config)
    return model


def not_gated():
    return ArceeForCausalLM(ArceeConfig(**SIZES, hidden_act="relu2", tie_word_embeddings=False, mlp_bias=False))


def mup():
    # Granite is a Llama with the same four multipliers.
    return GraniteForCausalLM(GraniteConfig(
        **SIZES, hidden_act="silu", tie_word_embeddings=True,
        embedding_multiplier=MUP["scaleEmbedding"],
        residual_multiplier=MUP["scaleDepth"] / SIZES["num_hidden_layers"] ** 0.5,
        attention_multiplier=SIZES["head_dim"] ** -0.5,
        logits_scaling=SIZES["hidden_size"] / MUP["widthBase"],
    ))


CASES = {
    "relu-tied": dict(make=lambda: llama("relu", True), activation="relu", tied=True, steps=STEPS),
    "relu-untied": dict(make=lambda: llama("relu", False), activation="relu", tied=False, steps=STEPS),
    "silu-tied": dict(make=lambda: llama("silu", True), activation="silu", tied=True, steps=STEPS),
    "silu-untied": dict(make=lambda: llama("silu", False), activation="silu", tied=False, steps=STEPS),
    "gelu": dict(make=lambda: llama("gelu", False), activation="gelu", tied=False, steps=1),
    "gelu_tanh": dict(make=lambda: llama("gelu_pytorch_tanh", False), activation="gelu_tanh", tied=False, steps=1),
    "drelu": dict(make=double_rectified, activation="drelu", tied=False, steps=1),
    "relu2-not-gated": dict(make=not_gated, activation="relu2", tied=False, gated=False, steps=1),
    "mup-tied": dict(make=mup, activation="silu", tied=True, mup=MUP, steps=1),
}


def initial_weights(generator):
    """Deviations large enough that losses and gradients are no round numbers; gains away from 1."""
    state = llama("relu", False).state_dict()
    def draw(name, tensor):
        noise = torch.randn(tensor.shape, generator=generator)
        return 1 + 0.2 * noise if "norm" in name else 0.4 * noise
    return {name: draw(name, tensor) for name, tensor in sorted(state.items())}


def run(case, weights, tokens):
    model = case["make"]().float()
    wanted = dict(model.named_parameters())
    model.load_state_dict({n: w for n, w in weights.items() if n in wanted}, strict=False)
    assert all(torch.equal(p, weights[n]) for n, p in wanted.items())
    matrices = [p for p in wanted.values() if p.ndim > 1]
    vectors = [p for p in wanted.values() if p.ndim == 1]
    optimiser = torch.optim.AdamW(
        [dict(params=matrices, weight_decay=OPTIMISER["weightDecay"]), dict(params=vectors, weight_decay=0.0)],
        lr=1.0, betas=(OPTIMISER["beta1"], OPTIMISER["beta2"]), eps=OPTIMISER["epsilon"], foreach=False,
    )
    tensors, losses, norms, gradient_norms = {}, [], [], []
    for step in range(case["steps"]):
        for group in optimiser.param_groups:
            group["lr"] = RATES[step]
        logits = model(input_ids=tokens[step, :, :-1], use_cache=False).logits.reshape(-1, VOCABULARY)
        loss = torch.nn.functional.cross_entropy(logits, tokens[step, :, 1:].reshape(-1))
        optimiser.zero_grad()
        loss.backward()
        if step == 0:
            tensors["logits"] = logits.detach().clone()
        if step in (0, case["steps"] - 1):
            tensors |= {f"gradient.{step}.{n}": p.grad.clone() for n, p in wanted.items()}
        gradient_norms.append({n: p.grad.norm().item() for n, p in wanted.items()})
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), OPTIMISER["clip"]).item())
        losses.append(loss.item())
        optimiser.step()
    if case["steps"] > 1:
        assert max(norms) > OPTIMISER["clip"] > min(norms), norms
        tensors |= {f"final.{n}": p.detach().clone() for n, p in wanted.items()}
    return tensors, losses, norms, gradient_norms


def main(out):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(1)
    weights = initial_weights(generator)
    save_file(weights, out / "initial.safetensors")
    tokens = torch.randint(0, VOCABULARY, (STEPS, BATCH, LENGTH + 1), generator=generator)
    for name, case in CASES.items():
        tensors, losses, norms, gradient_norms = run(case, weights, tokens)
        save_file(tensors, out / f"{name}.safetensors")
        golden = dict(
            madeWith=f"torch {torch.__version__}, transformers {transformers.__version__}",
            shape=dict(
                layers=2, width=16, ff=24, heads=4, kvHeads=2, headDim=4, vocabSize=VOCABULARY,
                activation=case["activation"], gated=case.get("gated", True), tieEmbeddings=case["tied"],
                ropeTheta=10000, normEpsilon=1e-5, **({"mup": case["mup"]} if "mup" in case else {}),
            ),
            optimiser=OPTIMISER, learningRates=RATES[: case["steps"]],
            tokens=tokens[: case["steps"]].tolist(), losses=losses, gradientNorms=norms,
            gradientNormsByName=gradient_norms,
        )
        (out / f"{name}.json").write_text(json.dumps(golden) + "\n")
        print(name, [round(x, 3) for x in losses], [round(x, 2) for x in norms])


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Masked logits and counts of the exported hook in transformers, for test/downstream/hook.test.ts.

    npm run build && python scripts/goldens/hook.py fixtures/downstream

Needs torch, transformers, tokenizers, safetensors. Each foreign family's tiny checkpoint (fixtures/parity/families)
gets a throw-away tokenizer, is measured and exported by the built program, and run in transformers under the
exported hook. Kept: the thresholds measured, and what the hook gave on the tokens of the family's golden.
"""

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import families
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = ROOT / "fixtures/parity/families"
CETT = 0.3


def sparselaw(*arguments):
    command = ["node", ROOT / "bin/run.js", *arguments, "--quiet", "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def tokenizer(folder):
    vocabulary = {f"t{i}": i for i in range(families.VOCABULARY)}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="t0"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(folder / "tokenizer.json"))


def transformers_model(folder, name):
    if name == "minicpm":
        # As in families.py: Granite computes the same from other keys.
        kind, settings = families.CASES[name]
        model = families.build(kind, settings)
        model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
        return model
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32
    ).eval()


def run(name, folder):
    shutil.copytree(FAMILIES / name, folder)
    if not (folder / "model.safetensors").exists():
        shutil.copy(FAMILIES / "llama/model.safetensors", folder)
    tokenizer(folder)
    generator = torch.Generator().manual_seed(3)
    text = folder.parent / f"{name}.txt"
    text.write_text(" ".join(f"t{i}" for i in torch.randint(0, families.VOCABULARY, (2001,), generator=generator).tolist()))
    measured = folder.parent / f"{name}-measured"
    settings = ["--metric", "cett", "--cett", str(CETT), "--seq-len", str(families.LENGTH)]
    (measurement,) = sparselaw("measure", folder, "--text", text, *settings, "--out", measured)["measurements"]
    exported = folder.parent / f"{name}-exported"
    sparselaw("export", folder, "--from", next(measured.glob("*.json")), "--out", exported)

    spec = importlib.util.spec_from_file_location("sparse_hook", exported / "sparse_hook.py")
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    model = transformers_model(folder, name)
    golden = load_file(FAMILIES / name / "expected.safetensors")
    tokens = golden["tokens"].long()
    with torch.no_grad():
        dense = model(tokens, use_cache=False).logits[0]
        assert (dense - golden["logits"]).abs().max() < 1e-5, name
        sparse = hook.SparseNeurons(str(exported / "thresholds.safetensors")).attach(model)
        logits = model(tokens, use_cache=False).logits[0].contiguous()
        ratios = sparse.layer_ratios()
        sparse.remove()
        assert torch.equal(model(tokens, use_cache=False).logits[0], dense), name
    print(name, "ratio", round(sparse.activation_ratio(), 4), "moved by", round((logits - dense).abs().max().item(), 3))
    case = {
        "epsilons": [layer["threshold"] for layer in measurement["layers"]],
        "modules": list(sparse.thresholds),
        "layerRatios": ratios,
    }
    return case, logits, load_file(exported / "thresholds.safetensors")


def main(out):
    torch.set_num_threads(1)
    out.mkdir(exist_ok=True)
    cases, tensors = {}, {}
    with tempfile.TemporaryDirectory() as temporary:
        for path in sorted(FAMILIES.iterdir()):
            case, logits, thresholds = run(path.name, Path(temporary) / path.name)
            cases[path.name] = case
            tensors[f"{path.name}/logits"] = logits
            for module, values in thresholds.items():
                tensors[f"{path.name}/{module}"] = values
    hook = (ROOT / "src/downstream/sparse_hook.py").read_bytes()
    golden = {
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "hookSha256": hashlib.sha256(hook).hexdigest(),
        "cett": CETT,
        "cases": cases,
    }
    (out / "hook.json").write_text(json.dumps(golden, indent=1) + "\n")
    save_file(tensors, out / "hook.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

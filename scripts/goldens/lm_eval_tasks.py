"""Log-likelihoods and scores of lm-evaluation-harness, for test/downstream/lm-eval.test.ts.

    npm run build && python scripts/goldens/lm_eval_tasks.py fixtures/downstream

Needs lm-eval, torch, transformers. The harness's own tasks piqa, hellaswag and lambada_openai read our items in
place of theirs, on our checkpoint: dense, and under the hook that `export` writes from `measurement.json`
(measured here, PPL-20% on tinybooks).
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import datasets
import lm_eval
import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).resolve().parents[2]
TASKS = {"piqa": "piqa-style", "hellaswag": "hellaswag-style", "lambada_openai": "lambada-style"}


def sparselaw(*arguments):
    command = ["node", ROOT / "bin/run.js", *arguments, "--quiet", "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def task_configs(manager, folder, tasks):
    """The harness's task with its prompts and metrics, and our file as its data."""
    for name, file in TASKS.items():
        source = manager.task_index[name].yaml_path
        split = "test" if name == "lambada_openai" else "validation"
        (folder / f"{name}.yaml").write_text(
            f"include: {source}\ntask: our_{name}\ndataset_path: json\ndataset_name: null\ntag: null\n"
            f"training_split: null\n{split}_split: {split}\n"
            f"dataset_kwargs:\n  data_files:\n    {split}: {tasks / file}.jsonl\n"
        )


def evaluate(model, tokenizer, manager):
    harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4, device="cpu")
    found = lm_eval.simple_evaluate(
        harness, tasks=[f"our_{name}" for name in TASKS], task_manager=manager, log_samples=True, bootstrap_iters=100
    )
    results = {}
    for name, file in TASKS.items():
        figures = found["results"][f"our_{name}"]
        samples = sorted(found["samples"][f"our_{name}"], key=lambda sample: sample["doc_id"])
        results[file] = {
            "accuracy": figures["acc,none"],
            "standardError": figures["acc_stderr,none"],
            "accuracyNormalised": figures.get("acc_norm,none"),
            "standardErrorNormalised": figures.get("acc_norm_stderr,none"),
            "logLikelihoods": [[answer[0][0] for answer in sample["resps"]] for sample in samples],
        }
        print(file, figures)
    return results


def main(out):
    torch.set_num_threads(1)
    checkpoint = out / "checkpoint"
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    with tempfile.TemporaryDirectory() as temporary:
        temporary = Path(temporary)
        datasets.config.HF_DATASETS_CACHE = temporary / "datasets"
        text = ["--text", ROOT / "fixtures/tinybooks.valid.txt", "--seq-len", "128", "--tokens", "8192"]
        (measurement,) = sparselaw("measure", checkpoint, "--p", "20", *text)["measurements"]
        measurement["data"]["source"] = "fixtures/tinybooks.valid.txt"
        measurement["device"] = ""
        (out / "measurement.json").write_text(json.dumps(measurement, indent=1) + "\n")
        sparselaw("export", checkpoint, "--from", out / "measurement.json", "--out", temporary / "exported")
        sys.path.insert(0, str(temporary / "exported"))
        from sparse_hook import SparseNeurons

        task_configs(TaskManager(), temporary, (out / "tasks").resolve())
        manager = TaskManager(include_path=str(temporary))
        dense = evaluate(model, tokenizer, manager)
        SparseNeurons(str(temporary / "exported/thresholds.safetensors")).attach(model)
        sparse = evaluate(model, tokenizer, manager)
    golden = {"version": lm_eval.__version__, "dense": dense, "sparse": sparse}
    (out / "lm-eval.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Reads what a sweep wrote with the programs it is written for: TensorBoard, pandas and DuckDB.

    sparselaw sweep run GRID.yaml --out STUDY          # with `tensorboard: true`
    sparselaw table STUDY --out STUDY/table.parquet
    python check_readers.py STUDY

Needs tensorboard, pandas, pyarrow and duckdb. Prints one line a check, and fails at the first difference.
"""

import json
import math
import pathlib
import struct
import sys

import duckdb
import pandas
import tensorboard
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

study = pathlib.Path(sys.argv[1])


def float32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def check_tensorboard(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    log = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    log.Reload()
    train = {e.step: e.value for e in log.Scalars("train/loss_nats_per_token")}
    assert train == {r["step"]: float32(r["loss_nats_per_token"]) for r in rows if "loss_nats_per_token" in r}
    held = {e.step: e.value for e in log.Scalars("validation/loss_nats_per_token")}
    key = "validation_loss_nats_per_token"
    assert held == {r["step"]: float32(r[key]) for r in rows if key in r}
    tags = log.Tags()["scalars"]
    print(f"TensorBoard {tensorboard.__version__}: {run.name}: {len(train)} steps, {len(held)} validations, {len(tags)} scalars")


def check_table():
    # A CSV file has no types: the column dictionary beside it says which columns are text.
    dictionary = json.loads((study / "table.csv.schema.json").read_text())
    text = {c["name"]: str for c in dictionary["columns"] if c["kind"] == "text"}
    csv = pandas.read_csv(study / "table.csv", dtype=text)
    parquet = pandas.read_parquet(study / "table.parquet")
    assert list(csv.columns) == list(parquet.columns) and len(csv) == len(parquet) > 0
    for column in csv.columns:
        for a, b in zip(csv[column], parquet[column]):
            missing = [x is None or x is pandas.NA or (isinstance(x, float) and math.isnan(x)) for x in (a, b)]
            assert all(missing) or (not any(missing) and a == b), (column, a, b)
    print(f"pandas {pandas.__version__}: {len(parquet)} rows, {len(parquet.columns)} columns, Parquet as CSV")
    query = "select run_id, count(*), sum(tokens), avg(activation_ratio), count(epsilon) from '{}' group by 1 order by 1"
    of = {name: duckdb.sql(query.format(study / name)).fetchall() for name in ("table.csv", "table.parquet")}
    for a, b in zip(of["table.csv"], of["table.parquet"], strict=True):
        assert a[:3] == b[:3] and a[4] == b[4] and math.isclose(a[3], b[3], rel_tol=1e-12), (a, b)
    kinds = duckdb.sql(f"describe select tokens, activation_ratio, gated, run_id from '{study}/table.parquet'").fetchall()
    print(f"DuckDB {duckdb.__version__}: {len(of['table.parquet'])} runs, types {[kind[1] for kind in kinds]}")


runs = sorted((study / "runs").iterdir())
for each in runs:
    check_tensorboard(each)
check_table()

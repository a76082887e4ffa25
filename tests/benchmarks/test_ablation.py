"""The ablation on a small table: every variant is measured, on the same answers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks import ablation, render
from benchmarks.tables import Table
from dpsynth import Schema


def small():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 9, 3_000)
    frame = pd.DataFrame({"a": first, "b": (first + rng.integers(0, 2, 3_000)) % 4, "c": first // 3})
    sizes = {"a": 9, "b": 4, "c": 3}
    return Table("small", frame, Schema.from_domain(sizes, ordered=["a"]), tuple(sizes.values()))


def test_every_stage_is_left_out_once_and_the_table_shows_it(monkeypatch):
    monkeypatch.setattr(Table, "load", classmethod(lambda _, name: small()))
    found = ablation.run(1, tables=("small",), epsilons=(10.0,))
    names = [line["without"] for line in found["stages"]]
    assert names[0] == ""
    assert len(names) == len(set(names)) == 10
    errors = {line["without"]: line for line in found["stages"]}
    assert all(0 <= line[f"tvd{k}"] <= 1 for line in found["stages"] for k in (1, 2, 3))
    assert errors["polishing"]["tvd2"] != errors[""]["tvd2"]
    assert {line["variant"] for line in found["results"]} == set(ablation.VARIANTS)
    monkeypatch.setattr(render, "_load", lambda name: found)
    assert render.stages().count("\n") == 2
    assert f"| small | 10 | {errors['']['tvd2']:.4f} |" in render.stages()

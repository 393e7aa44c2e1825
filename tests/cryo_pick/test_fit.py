"""The training loop: what it computes, and that no interruption changes it."""

import functools
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cryo_pick.errors import ConfigError, InputError
from cryo_pick.fit import Watch, fit, split_batch
from tests.cryo_pick.fit_processes import (
    STEPS,
    batches,
    network,
    plain_network,
    settings,
    squares,
)


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """Folder and report of trainings that were killed, stopped, or shared by two processes."""
    folder = tmp_path_factory.mktemp("processes")
    script = Path(__file__).with_name("fit_processes.py")
    done = subprocess.run(
        [sys.executable, script, folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1])


def weights(path):
    with np.load(path) as file:
        return dict(file)


def same(a, b):
    return a.keys() == b.keys() and all(a[k].tobytes() == b[k].tobytes() for k in a)


def test_a_killed_training_ends_with_the_weights_of_an_unbroken_one(processes):
    folder, report = processes
    assert report["unbroken"] == 0
    # kill -9 between steps, kill -9 while a checkpoint is written, SIGTERM, then left alone
    assert report["broken"] == [-9, -9, 75, 0], report
    broken = weights(folder / "broken" / "weights0.npz")
    assert same(broken, weights(folder / "unbroken" / "weights0.npz")), report
    ends = [(folder / name / "loss0.txt").read_text() for name in ("broken", "unbroken")]
    assert ends[0] == ends[1]


def test_killed_ten_times_it_ends_like_the_undisturbed_one(processes):
    folder, report = processes
    assert report["whole"] == 0
    assert report["often"] == [-9] * 10 + [0], report
    pair = [folder / name for name in ("whole", "often")]
    assert same(*(weights(p / "weights0.npz") for p in pair))
    logs = [(p / "metrics.csv").read_text().splitlines() for p in pair]
    first, second = ([row.split(",")[0] for row in log] for log in logs)
    assert first == second == ["step", "20", "40", "60"]


def test_a_kill_costs_no_more_than_the_steps_since_the_last_checkpoint(processes):
    _, report = processes
    killed, halved, stopped = report["struck"]
    first, second, third, last = report["checkpoint"]
    assert killed - 2 <= first <= killed  # the batch is asked for a step ahead
    assert second == halved - 1
    assert stopped - 1 <= third <= stopped + 1
    assert last == STEPS


def test_sigterm_leaves_a_checkpoint_and_says_how_to_go_on(processes):
    folder, report = processes
    text = (folder / "broken" / "preempted.txt").read_text()
    assert f"at step {report['checkpoint'][2]};" in text
    assert "the same command goes on" in text


def test_the_log_of_a_killed_training_holds_each_step_once(processes):
    folder, _ = processes
    lines = [(folder / n / "metrics.csv").read_text().splitlines() for n in ("broken", "unbroken")]
    steps = [[row.split(",")[0] for row in log] for log in lines]
    assert steps[0] == steps[1] == ["step", "20", str(STEPS)]


def test_two_processes_share_a_training_and_draw_different_crops(processes):
    folder, report = processes
    assert report["shared"] == [0, 0]
    mine, theirs = (weights(folder / "shared" / f"weights{r}.npz") for r in (0, 1))
    assert same(mine, theirs)
    joined = weights(folder / "joined" / "weights0.npz")  # one process, both ranks' batches
    for name, value in joined.items():
        np.testing.assert_allclose(mine[name], value, atol=1e-5, err_msg=name)


def test_training_learns_a_linear_rule(tmp_path):
    module = nn.Conv3d(1, 1, 1)
    chosen = settings(steps=150, learning_rate=0.1, method="adamw")
    result = fit(module, squares, batches, chosen, tmp_path)
    assert module.weight.item() == pytest.approx(0.5, abs=0.02)
    assert module.bias.item() == pytest.approx(1, abs=0.02)
    assert result.steps == 150
    assert 0 <= result.waiting_share <= 1


def test_it_ends_with_the_averaged_weights_and_not_the_last(tmp_path):
    module = network()
    fit(module, squares, batches, settings(steps=8), tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert all(torch.equal(v, state["average"][k]) for k, v in module.state_dict().items())
    assert not torch.equal(state["average"]["0.weight"], state["module"]["0.weight"])


def test_a_finished_training_is_not_done_again(tmp_path):
    modules, asked = [network(), network()], []
    fit(modules[0], squares, batches, settings(steps=5), tmp_path)
    with torch.no_grad():
        modules[1][0].weight.zero_()

    def source(step, size, rank):
        asked.append(step)
        return batches(step, size, rank)

    result = fit(modules[1], squares, source, settings(steps=5), tmp_path)
    assert result.steps == 5
    assert math.isfinite(result.loss)
    assert asked in ([], [5])
    pairs = zip(modules[0].parameters(), modules[1].parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_each_step_is_given_its_own_batch_size_and_rank(tmp_path):
    asked = []

    def source(step, size, rank):
        asked.append((step, size, rank))
        return batches(step, size, rank)

    fit(network(), squares, source, settings(steps=4, batch_size=3), tmp_path)
    assert asked[:4] == [(step, 3, 0) for step in range(4)]


def test_minutes_cut_the_steps_and_the_schedule_ends_all_the_same(tmp_path):
    shares = []
    result = fit(
        nn.Conv3d(1, 1, 1), squares, batches, settings(steps=10**9, minutes=0.005), tmp_path,
        on_progress=lambda share, numbers: shares.append(share),
    )  # fmt: skip
    assert 0 < result.steps < 10**6
    assert 0.3 <= result.seconds < 10
    assert shares == sorted(shares)
    assert shares[-1] >= 1


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_names_the_step_and_spoils_no_checkpoint(tmp_path, bad):
    def source(step, size, rank):
        batch = batches(step, size, rank)
        return batch | {"target": batch["target"] * (bad if step == 3 else 1)}

    with pytest.raises(ConfigError, match=rf"step 3 the loss is {bad}.*learning_rate"):
        fit(network(), squares, source, settings(), tmp_path)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == 3
    for part in ("module", "average"):
        assert all(torch.isfinite(v).all() for v in state[part].values())


def test_a_gradient_that_is_not_finite_is_refused_too(tmp_path):
    def loss(module, batch):
        # sqrt has an infinite slope at 0, and infinity times 0 is no number
        return {"loss": (module(batch["image"]) * 0).sqrt().sum()}

    with pytest.raises(ConfigError, match="step 0 the gradient is not finite"):
        fit(network(), loss, batches, settings(), tmp_path)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_a_checkpoint_of_another_identity_is_refused(tmp_path):
    fit(network(), squares, batches, settings(steps=2), tmp_path, identity="one")
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(ConfigError, match="other settings or data"):
        fit(network(), squares, batches, settings(steps=2), tmp_path, identity="two")
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_a_checkpoint_of_another_network_or_a_damaged_one_is_refused(tmp_path):
    fit(network(), squares, batches, settings(steps=2), tmp_path)
    with pytest.raises(InputError, match="damaged checkpoint"):
        fit(nn.Conv3d(1, 1, 1), squares, batches, settings(steps=2), tmp_path)
    checkpoint = tmp_path / "checkpoint.pt"
    for content in (checkpoint.read_bytes()[:500], b"", b"no checkpoint"):
        checkpoint.write_bytes(content)
        with pytest.raises(InputError, match=r"damaged checkpoint.*delete it"):
            fit(network(), squares, batches, settings(steps=2), tmp_path)


def test_a_checkpoint_with_code_in_it_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "hacked"),))

    torch.save({"identity": "", "step": Evil()}, tmp_path / "checkpoint.pt")
    with pytest.raises(InputError, match="damaged checkpoint"):
        fit(network(), squares, batches, settings(steps=2), tmp_path)
    assert not (tmp_path / "hacked").exists()


def test_a_log_without_a_checkpoint_starts_anew(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,other\n20,1\n40,")
    fit(nn.Conv3d(1, 1, 1), squares, batches, settings(steps=20), tmp_path)
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines[0] == "step,seconds,progress,loss"
    assert [row.split(",")[0] for row in lines[1:]] == ["20"]


def test_an_error_of_the_batches_comes_through(tmp_path):
    def source(step, size, rank):
        raise InputError("no such run")

    with pytest.raises(InputError, match="no such run"):
        fit(network(), squares, source, settings(), tmp_path)


def test_parts_of_a_batch_give_the_step_of_the_whole(tmp_path):
    modules = []
    for parts in (1, 2, 4):
        modules.append(plain_network())
        chosen = settings(steps=5, batch_size=4, accumulate=parts)
        fit(modules[-1], squares, batches, chosen, tmp_path / str(parts))
    for module in modules[1:]:
        for a, b in zip(modules[0].parameters(), module.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


def test_a_batch_that_cannot_be_parted_is_refused():
    batch = {"image": torch.zeros(4, 1), "share": torch.zeros(1)}
    assert [len(p["image"]) for p in split_batch(batch, 2)] == [2, 2]
    assert all(len(p["share"]) == 1 for p in split_batch(batch, 2))
    with pytest.raises(ConfigError, match="accumulate"):
        split_batch(batch, 3)


def test_checkpointing_and_compile_end_with_the_same_weights(tmp_path, monkeypatch):
    # The compiler's own code generation takes half a minute; its graphs and gradients don't.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    ends = []
    for name in ("plain", "checkpointing", "compile"):
        module = nn.Sequential(network(), nn.Conv3d(1, 2, 1), nn.Conv3d(2, 1, 1))
        torch.manual_seed(0)
        for p in module.parameters():
            nn.init.normal_(p, std=0.1)
        module[0][2].p = 0.0  # a compiled dropout draws other numbers
        chosen = settings(steps=4, **({} if name == "plain" else {name: True}))
        fit(module, squares, batches, chosen, tmp_path / name)
        ends.append(module.state_dict())
    for end in ends[1:]:
        assert end.keys() == ends[0].keys()
        for key, value in ends[0].items():
            torch.testing.assert_close(end[key], value, rtol=1e-4, atol=1e-6, msg=key)


def test_bf16_without_the_hardware_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("cryo_pick.fabric.cpu_has_bf16", lambda: False)
    with pytest.raises(ConfigError, match="bf16"):
        fit(network(), squares, batches, settings(precision="bf16"), tmp_path)


def test_looks_change_nothing_and_are_written(tmp_path):
    looked = []

    def look(module, step):
        looked.append((step, module.training))
        torch.rand(3)
        with torch.no_grad():
            for p in module.parameters():
                p.zero_()
        return {"f4": step / 10}

    modules = [network(), network()]
    fit(modules[0], squares, batches, settings(steps=8), tmp_path / "a")
    watch = Watch(look, 0.25)
    fit(modules[1], squares, batches, settings(steps=8), tmp_path / "b", watch=watch)
    assert looked == [(2, False), (4, False), (6, False), (8, False)]
    pairs = zip(modules[0].parameters(), modules[1].parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    rows = (tmp_path / "b" / "validation.csv").read_text().splitlines()
    assert rows == ["step,f4", "2,0.2", "4,0.4", "6,0.6", "8,0.8"]


def test_looks_that_cost_too_much_are_left_out(tmp_path):
    looked = []

    def look(module, step):
        looked.append(step)
        time.sleep(0.3)
        return {}

    chosen = settings(steps=40, checkpoint_every_s=60)
    fit(network(), squares, batches, chosen, tmp_path, watch=Watch(look, 0.1, budget=0.05))
    assert len(looked) == 1


def test_a_loss_that_is_not_finite_names_the_sample(tmp_path):
    def source(step, size, rank):
        batch = batches(step, size, rank)
        if step == 2:
            batch["image"][1] = math.nan
        return batch

    def describe(step, size, rank):
        return [f"run r{step}, crop {i}" for i in range(size)]

    with pytest.raises(ConfigError, match=r"step 2 .*not finite: run r2, crop 1\."):
        fit(network(), squares, source, settings(), tmp_path, describe=describe)

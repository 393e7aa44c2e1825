"""Trainings in processes of their own, that can be killed. Run by test_fit.py: FOLDER.

Torch is imported once; each training is a fork. What became of each is printed as JSON.
"""

import functools
import json
import os
import signal
import socket
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from cryo_pick.errors import Preempted
from cryo_pick.fit import fit
from cryo_pick.settings import OptimizerSettings

STEPS, LONG = 24, 60


def settings(**changed):
    values = {"steps": STEPS, "batch_size": 2, "precision": "fp32", "accelerator": "cpu"}
    return OptimizerSettings(**values | {"checkpoint_every_s": 1e-9} | changed)


def network():
    """Random draws and running statistics: both have to survive."""
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv3d(1, 4, 3, padding=1), nn.BatchNorm3d(4), nn.Dropout(0.3), nn.Conv3d(4, 1, 1)
    )


def plain_network():
    """No batch statistics and no random draws: gradients of parts of a batch add up."""
    torch.manual_seed(5)
    return nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.PReLU(), nn.Conv3d(4, 1, 1))


def batches(step, size, rank):
    rng = np.random.default_rng([3, step, rank])
    image = rng.standard_normal((size, 1, 4, 4, 4)).astype(np.float32)
    return {"image": image, "target": 0.5 * image + 1}


def both_ranks(step, size, rank):
    parts = [batches(step, size, r) for r in (0, 1)]
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def squares(module, batch):
    return {"loss": (module(batch["image"]) - batch["target"]).square().mean()}


def struck(at, number, source=batches):
    """Batches that send this process a signal when one of them is asked for."""

    def ask(step, size, rank):
        if step == at:
            os.kill(os.getpid(), number)
        return source(step, size, rank)

    return ask


def die_while_saving(at):
    """Be killed when half of the checkpoint of a step is written."""
    save = torch.save

    def half(state, file):
        if state["step"] == at:
            whole = Path(f"{file.name}.whole")
            save(state, whole)
            file.write(whole.read_bytes()[: whole.stat().st_size // 2])
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        save(state, file)

    torch.save = half


def train(folder, source=batches, make=network, before=None, **changed):
    """Exit code of a training; the weights it ends with are kept."""
    if before:
        before()
    module = make()
    try:
        result = fit(module, squares, source, settings(**changed), folder, identity="same")
    except Preempted as error:
        (folder / "preempted.txt").write_text(str(error))
        return error.exit_code
    rank = os.environ.get("LOCAL_RANK", "0")
    np.savez(
        folder / f"weights{rank}.npz", **{k: v.numpy() for k, v in module.state_dict().items()}
    )
    (folder / f"loss{rank}.txt").write_text(f"{result.steps} {result.loss!r}")
    return 0


def forked(function):
    """Process id of a fork that calls `function` and exits with what it returns."""
    child = os.fork()
    if child:
        return child
    try:
        os._exit(function())
    except BaseException as error:
        print(repr(error), file=sys.stderr)
        os._exit(99)


def outcome(child):
    """Exit code, or minus the number of the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def as_rank(rank, port, function):
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return function()


def main(folder):
    torch.set_num_threads(1)
    os.fsync = lambda _: None  # what a process wrote outlives it; power cuts are not tested here
    kill, term = signal.SIGKILL, signal.SIGTERM
    first, second, third = sorted(np.random.default_rng().choice(np.arange(2, 20), 3, False))
    broken = [
        {"source": struck(first, kill)},
        {"before": functools.partial(die_while_saving, second)},
        {"source": struck(third, term)},
        {},
    ]
    report = {"struck": [int(first), int(second), int(third)], "checkpoint": []}
    report["unbroken"] = outcome(forked(functools.partial(train, folder / "unbroken")))
    report["broken"] = []
    for how in broken:
        report["broken"].append(outcome(forked(functools.partial(train, folder / "broken", **how))))
        state = torch.load(folder / "broken" / "checkpoint.pt", weights_only=True)
        report["checkpoint"].append(state["step"])
    long = {"steps": LONG}
    report["whole"] = outcome(forked(functools.partial(train, folder / "whole", **long)))
    strikes = sorted(np.random.default_rng().choice(np.arange(3, LONG - 3, 3), 10, False).tolist())
    report["often"] = [
        outcome(forked(functools.partial(train, folder / "often", struck(at, kill), **long)))
        for at in strikes
    ]
    report["often"].append(outcome(forked(functools.partial(train, folder / "often", **long))))
    plain = {"make": plain_network, "steps": 6, "checkpoint_every_s": 60.0}
    joined = functools.partial(train, folder / "joined", source=both_ranks, **plain)
    report["joined"] = outcome(forked(joined))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = functools.partial(train, folder / "shared", devices=2, **plain)
    ranks = [forked(functools.partial(as_rank, rank, port, shared)) for rank in (0, 1)]
    report["shared"] = [outcome(child) for child in ranks]
    print(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

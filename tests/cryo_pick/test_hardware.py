import os
import subprocess
import sys

import pytest
import torch

from cryo_pick import hardware
from cryo_pick.errors import ConfigError
from cryo_pick.hardware import (
    choose_device,
    choose_precision,
    compute_threads,
    cpu_has_bf16,
    parse_flags,
    physical_cores,
    set_compute_threads,
)
from cryo_pick.run_folder import usable_cpus

CPU, GPU = False, True
X86 = "processor\t: 0\nvmx flags\t: ept\nflags\t\t: fpu avx2 amx_bf16\n\nflags\t\t: fpu\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd bf16\n"


def pretend(monkeypatch, *, flags=(), gpu=False, gpu_bf16=False):
    monkeypatch.setattr(hardware, "cpu_flags", lambda: frozenset(flags))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)

    def supported(including_emulation=True):
        return gpu_bf16 or including_emulation  # torch's own answer where it is only emulated

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)


def test_flags_are_those_of_the_first_processor():
    assert parse_flags(X86) == {"fpu", "avx2", "amx_bf16"}
    assert parse_flags(ARM) == {"fp", "asimd", "bf16"}
    assert parse_flags("model name : x\n") == frozenset()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["avx2"], False),
        (["amx_bf16"], True),
        (["avx512_bf16"], True),
        (["bf16"], True),
        ([], False),
    ],
)
def test_bf16_needs_an_instruction_set(monkeypatch, flags, expected):
    pretend(monkeypatch, flags=flags)
    assert cpu_has_bf16() is expected
    assert choose_precision("auto", CPU) == ("bf16" if expected else "fp32")


@pytest.mark.parametrize(("bf16", "expected"), [(True, "bf16"), (False, "fp16")])
def test_a_gpu_that_only_emulates_bf16_takes_fp16(monkeypatch, bf16, expected):
    pretend(monkeypatch, gpu=True, gpu_bf16=bf16)
    assert choose_precision("auto", GPU) == expected


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_named_precision_is_taken(monkeypatch, precision):
    pretend(monkeypatch)
    assert choose_precision(precision, CPU) == precision


def test_what_the_hardware_cannot_do_is_refused(monkeypatch):
    pretend(monkeypatch)
    with pytest.raises(ConfigError, match="fp16 needs a GPU"):
        choose_precision("fp16", CPU)
    with pytest.raises(ConfigError, match=r"precision: expected auto.*'half'"):
        choose_precision("half", CPU)
    with pytest.raises(ConfigError, match="no CUDA device"):
        choose_device("cuda")
    with pytest.raises(ConfigError, match="expected auto, cpu or cuda, but got 'tpu'"):
        choose_device("tpu")


@pytest.mark.parametrize(
    ("word", "gpu", "expected"),
    [("auto", False, "cpu"), ("auto", True, "cuda"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_device(monkeypatch, word, gpu, expected):
    pretend(monkeypatch, gpu=gpu)
    assert choose_device(word).type == expected


ASK = """
import sys
from cryo_pick import hardware
{more}
print(hardware.compute_threads(), hardware.on_gpu("auto"), "torch" in sys.modules)
"""


def asked(more, **environment):
    env = os.environ | {"CUDA_VISIBLE_DEVICES": ""} | environment
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(more=more)], env=env, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return done.stdout.split()


def test_without_a_driver_torch_is_not_loaded_to_look_for_a_gpu():
    absent = "hardware._has_driver = lambda: False"
    assert asked(absent, OMP_NUM_THREADS="3") == ["3", "False", "False"]
    assert asked(f"{absent}; hardware.set_compute_threads(1)") == ["1", "False", "False"]
    # Where there is a driver, torch is asked, and has what was set before it was loaded.
    there = "hardware._has_driver = lambda: True; hardware.set_compute_threads(1)"
    assert asked(f"{there}; hardware.on_gpu('auto')") == ["1", "False", "True"]


def test_threads_are_those_of_torch_where_it_is_loaded():
    before = torch.get_num_threads()
    try:
        set_compute_threads(before + 1)
        assert torch.get_num_threads() == compute_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_cores_are_at_most_what_may_be_used(monkeypatch, tmp_path):
    assert 1 <= physical_cores() <= usable_cpus()
    for processor, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        folder = tmp_path / f"cpu{processor}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(siblings)
    monkeypatch.setattr(hardware, "_PROCESSORS", tmp_path)
    for usable, expected in (({0, 1, 2, 3}, 2), ({0, 2}, 1), ({1, 2}, 2), ({0, 9}, 2)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, usable=usable: usable)
        assert physical_cores() == expected

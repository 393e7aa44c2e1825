import itertools
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cryo_pick.cluster import GPU, job_script, open_cluster
from cryo_pick.config import compose
from cryo_pick.errors import ConfigError
from cryo_pick.settings import ClusterSettings

pytest.importorskip("dask_jobqueue", reason="needs the extra `cluster`")

SLURM = ["cluster=slurm", "cluster.queue=gpu", "cluster.cores=6", "cluster.memory=24GB"]


def _script(tmp_path: Path, *words: str) -> list[str]:
    return job_script(compose(words).cluster, tmp_path / "out").splitlines()


def test_a_slurm_job_asks_for_one_gpu_and_declares_it(tmp_path: Path) -> None:
    lines = _script(
        tmp_path, *SLURM, "cluster.account=lab", "cluster.walltime=1-12:00:00",
        'cluster.directives=["--constraint=a100"]', "cluster.setup=['module load cuda','echo hi']",
    )  # fmt: skip
    assert lines[0] == "#!/usr/bin/env bash"
    head = {line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")}
    assert {
        "-J cryo-pick", "-p gpu", "-A lab", "-n 1", "--cpus-per-task=6", "--mem=23G",
        "-t 1-12:00:00", "--gres=gpu:1", "--constraint=a100",
    } <= head  # fmt: skip
    assert lines.index("module load cuda") < lines.index("echo hi") < len(lines) - 1
    assert "--nthreads 1" in lines[-1]
    assert f"--resources {GPU}=1" in lines[-1]
    assert "tls://SCHEDULER:PORT" in lines[-1]
    assert not (tmp_path / "out").exists()


def test_a_cpu_job_asks_for_no_gpu(tmp_path: Path) -> None:
    text = "\n".join(_script(tmp_path, *SLURM, "cluster.gpus=0", "cluster.tls=false"))
    assert "gres" not in text
    assert "--resources" not in text
    assert "tcp://SCHEDULER:PORT" in text


def test_a_pbs_job(tmp_path: Path) -> None:
    lines = _script(tmp_path, "cluster=pbs", "cluster.cores=6", "cluster.memory=24GB")
    assert "#PBS -l select=1:ncpus=6:mem=24gb:ngpus=1" in lines
    assert "#PBS -l walltime=04:00:00" in lines


def test_job_scripts_are_valid_shell(tmp_path: Path) -> None:
    for kind in ("slurm", "pbs"):
        path = tmp_path / kind
        path.write_text(job_script(compose([f"cluster={kind}"]).cluster, tmp_path / "out"))
        done = subprocess.run(["bash", "-n", path], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_gpu_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    settings = ClusterSettings(kind="local", gpus=1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ConfigError, match="no GPU is visible"), open_cluster(settings, tmp_path):
        pass
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with (
        pytest.raises(ConfigError, match=r"cluster\.workers: expected at most 2"),
        open_cluster(replace(settings, workers=3), tmp_path),
    ):
        pass


def test_local_workers_have_a_gpu_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    with open_cluster(ClusterSettings(kind="local"), tmp_path) as cluster:
        assert (cluster.workers, cluster.resources) == (2, {GPU: 1})
        cluster.client.wait_for_workers(2, timeout=60)
        assert cluster.size() == 2
        seen = cluster.client.run(_visible)
        assert sorted(seen.values()) == ["5", "7"]
        addresses = [*cluster.client.nthreads(), cluster.client.scheduler.address]
        assert all(a.startswith("tls://127.0.0.1:") for a in addresses)
        # A piece of work that asks for the GPU is one at a time on each worker.
        spans = cluster.client.gather(
            [
                cluster.client.submit(_span, i, resources=cluster.resources, pure=False)
                for i in range(6)
            ]
        )
    for name in ("5", "7"):
        mine = sorted(span for device, *span in spans if device == name)
        assert len(mine) >= 1
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(mine))


def test_joining_a_cluster(tmp_path: Path) -> None:
    import distributed

    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0",
        resources={GPU: 1}, protocol="tcp://", host="127.0.0.1",
    ) as there:  # fmt: skip
        for settings, resources in (
            ([], {GPU: 1}),
            (["cluster.gpus=0"], {}),
        ):
            config = compose([f"cluster={there.scheduler_address}", *settings])
            with open_cluster(config.cluster, tmp_path) as cluster:
                assert cluster.resources == resources
                assert cluster.size() == 1


def test_an_address_where_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cryo_pick.cluster import opening

    monkeypatch.setattr(opening, "_PATIENCE", "1s")
    settings = compose(["cluster=127.0.0.1:1"]).cluster
    refused = pytest.raises(ConfigError, match="no Dask scheduler answers")
    with refused, open_cluster(settings, tmp_path):
        pass


def _visible() -> str:
    import os

    return os.environ["CUDA_VISIBLE_DEVICES"]


def _span(number: int) -> tuple[str, float, float]:
    import os
    import time

    start = time.time()
    time.sleep(0.05)
    return os.environ["CUDA_VISIBLE_DEVICES"], start, time.time()

"""Settings that no single stage owns: where the data is, how samples are varied, how weights learn.

Each class is the schema of one config group (configs/<group>/). Lengths are Å; whatever a network
counts in voxels says so. A field is documented by the string below it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class DataSettings:
    """Which tomograms and which picks of a copick project."""

    project: str | None = None
    """copick config JSON or the directory that holds it."""
    voxel_spacing: float | None = None
    """Å; None: the only one there is."""
    tomo_type: str | None = None
    """None: the only one there is."""
    user_id: str | None = None
    """Whose picks are the truth; None: everybody's but those of user `cryo-pick`."""
    session_id: str | None = None
    """None: every session."""
    review_user: str | None = None
    """Whose verdicts of `cryo-pick review` a training learns from; None: nobody's."""
    runs: list[str] | None = None
    """Only these runs; None: all that have the tomogram."""
    exclude_runs: list[str] = field(default_factory=list)
    """Without these runs."""
    origin: list[float] | None = None
    """Å, z y x, of the centre of voxel 0; None: as the file says."""
    origin_voxels: float | None = None
    """The same in voxels, for all axes; -0.5 for the CZII challenge data."""
    cache: str | None = None
    """Folder of decoded volumes; None: the user's cache folder."""


@dataclass
class AugmentSettings:
    """How a training sample is varied. Probabilities are per sample."""

    flip: bool = True
    """Mirror each axis with probability 1/2."""
    rot90: bool = True
    """Turn by a random multiple of 90 degrees about z."""
    scale: float = 0.15
    """Multiply intensities by a factor from 1 - scale to 1 + scale."""
    shift: float = 0.15
    """Add a constant from -shift to +shift standard deviations."""
    noise: float = 0.15
    """Add Gaussian noise of up to this many standard deviations."""
    rotate_z: float = 0.0
    """Degrees; detector only, as all that follow: turn about z by up to this, either way."""
    rotate_xy: float = 0.0
    """Degrees; tilt about y and about x by up to this, either way."""
    zoom: float = 0.0
    """Enlarge or shrink by a factor from 1 - zoom to 1 + zoom."""
    wedge: float = 0.0
    """Degrees; widen the missing wedge, as if tilts had ended up to this much before 60."""
    paste: float = 0.0
    """Probability that a particle from elsewhere is pasted into free space of the crop."""
    mixup: str = "none"
    """none, losses (one coefficient a batch, losses are mixed) or targets (one a sample)."""
    mixup_probability: float = 0.5
    """Share of the batches that are mixed."""


@dataclass
class OptimizerSettings:
    """One training: how long, how fast, how often it is saved."""

    steps: int = 4000
    """Optimiser steps."""
    minutes: float | None = None
    """End after this time if `steps` are not done; the schedule follows whichever is further."""
    batch_size: int = 4
    """Samples of one step."""
    learning_rate: float = 4e-3
    """Peak of the schedule: linear warm-up, then a cosine to zero."""
    method: str = "muon"
    """muon (orthogonalised steps for weights, AdamW for biases and norms) or adamw."""
    weight_decay: float = 1e-2
    """Decoupled, of weights; not of biases and norms."""
    warmup: float = 0.05
    """Share of the steps with rising learning rate."""
    ema_decay: float = 0.995
    """Decay of the averaged weights, which are the ones that are kept."""
    clip_norm: float = 10.0
    """Largest norm of the gradient."""
    precision: str = "auto"
    """auto, fp32, bf16 or fp16; auto takes bf16 where the hardware has it."""
    accelerator: str = "auto"
    """auto, cpu or cuda."""
    devices: int = 1
    """Devices of each node that share one training; each takes a batch of its own."""
    nodes: int = 1
    """Nodes that share one training, under torchrun or srun."""
    accumulate: int = 1
    """Parts of a batch that are done one after the other, for less memory."""
    checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, a third more time."""
    compile: bool = False
    """Let torch.compile fuse the network; the first step then takes a minute."""
    seed: int = 0
    """Of every random draw."""
    checkpoint_every_s: float = 60.0
    """Seconds between two checkpoints."""
    logger: str = "csv"
    """csv, tensorboard, mlflow or wandb; the CSV is written whatever it is."""


@dataclass
class PretrainSettings:
    """Training on simulated tomograms first; detectors of all folds begin with its weights."""

    runs: int = 0
    """Tomograms to simulate; 0: no such training."""
    size: list[int] = field(default_factory=lambda: [96, 256, 256])
    """Of each, voxels, zyx."""
    seed: int = 1_000_000
    """Tomogram i is made from seed + i."""
    noise: float = 1.0
    """1 is as noisy as the CZII challenge, 0.5 easy, 2 hard."""
    crowding: float = 4.0
    """Factor on every count of particles; 1 is as full as the CZII challenge."""
    densities: str | None = None
    """Folder of density maps, as for `cryo-pick simulate --densities`; null: built-in molecules."""
    steps: int = 2000
    """Optimiser steps."""
    minutes: float | None = None
    """End after this time if `steps` are not done."""


@dataclass
class WatchSettings:
    """How a training is looked at while it runs. Never changes the weights it ends with."""

    every: float = 0.25
    """Share of the training between two looks; 0: none."""
    budget: float = 0.03
    """Largest share of the time that looking takes; looks beyond it are left out. 1: no limit."""
    runs: int = 1
    """Validation runs that are picked at each look."""
    keep: int = 1
    """Best weights that are kept, beside the last ones."""


@dataclass
class FitSettings:
    """How blend and thresholds are fitted on out-of-fold candidates."""

    beta: float = 4.0
    """Of the F-beta score: a miss weighs beta squared times a false pick."""
    smoothing: float = 0.02
    """Width, in score, over which a threshold curve is averaged before its maximum is taken."""
    turned_copies: bool = False
    """Fit blend and thresholds on a copy of each run turned by a quarter about z, too."""
    bootstrap: int = 1000
    """Resamplings of the runs behind an interval."""
    confidence: float = 0.9
    """Of the intervals."""


@dataclass
class TuneSettings:
    """A search for the settings of a detector that pick best."""

    trials: int = 20
    """Trials that are done or pruned before the search ends."""
    workers: int = 1
    """Processes that do trials side by side."""
    prune: bool = True
    """Give up a trial that picks worse than half of the others did at the same look."""
    seed: int = 0
    """Of what is tried."""
    space: dict[str, Any] = field(default_factory=dict)
    """Below the key of a setting a list of values, or {low, high} with log or step; or null."""


@dataclass
class ClusterSettings:
    """Where `predict` does its runs: in this process, or on the workers of a Dask cluster."""

    kind: str = "none"
    """none, local (processes on this machine), slurm, pbs, or address (a cluster that is there)."""
    address: str | None = None
    """Of the Dask scheduler, host:port, tcp://host:port or tls://host:port."""
    workers: int | None = None
    """Workers to start, each of which does one run at a time; None: one per GPU, or else one."""
    gpus: int | None = None
    """GPUs of a worker, 0 or 1; None: 1 where this machine or, of `address`, the workers have."""
    cores: int | None = None
    """CPU cores of a worker; None: a fair share of its machine."""
    memory: str | None = None
    """Of a worker, such as 16GB; one that takes more is ended. None: no limit."""
    walltime: str = "04:00:00"
    """Longest time of a job, [days-]hours:minutes:seconds."""
    queue: str | None = None
    """Partition or queue of the jobs; None: the default one."""
    account: str | None = None
    """That the jobs are charged to."""
    directives: list[str] = field(default_factory=list)
    """More lines for the head of the job script, such as "--constraint=a100"."""
    setup: list[str] = field(default_factory=list)
    """Shell lines that a job runs first, such as "module load cuda"."""
    interface: str | None = None
    """Network interface that scheduler and workers meet on, such as ib0."""
    tls: bool = True
    """Whether the workers that are started here talk encrypted, and to this process only."""

"""Dask clusters as the `cluster` settings say: on this machine, in jobs, or there already.

A worker does one thing at a time, and a worker with a GPU has it for itself: it declares
``GPU=1``, which each piece of work asks for. Nothing listens beyond this machine with
`cluster=local`; the others listen where the workers can reach them, with `tls` to holders of a
certificate that is made for this run only.
"""

from cryo_pick.cluster.job_settings import job_script
from cryo_pick.cluster.opening import Cluster, open_cluster
from cryo_pick.cluster.starting import GPU

__all__ = ["GPU", "Cluster", "job_script", "open_cluster"]

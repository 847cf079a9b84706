"""Dask: processes that work for a sweep, on this machine or on others."""

import logging
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from os import cpu_count
from shutil import which
from typing import Any, NamedTuple

from lrnn.book.chapter import BookError

try:
    from distributed import Client, LocalCluster, WorkerPlugin, as_completed
except ImportError:
    raise BookError("a sweep needs dask.distributed: pip install 'lrnn[sweep]'") from None


class Place(NamedTuple):
    """Where runs are made: on this machine unless one of the others is named.

    workers : processes of one thread each; as many as there are cores if None
    scheduler : address of a cluster that is up, whose workers see the same files
    system : "slurm" or "kubernetes", to ask for workers there
    """

    workers: int | None = None
    scheduler: str | None = None
    system: str | None = None


class Deaf(WorkerPlugin):
    """Leaves Ctrl-C to the sweep: workers that hear it too die noisily."""

    def setup(self, worker: Any) -> None:
        """Called by dask in every worker that comes up."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def connect(place: Place) -> Iterator[Client]:
    """A client of the cluster at a place; what was started for it ends with it.

    Raises : BookError if there is no cluster to be had
    """
    with ExitStack() as stack:
        try:
            if place.scheduler:
                client = Client(place.scheduler, timeout=30)
            else:
                start = STARTS[place.system or "local"]
                client = Client(stack.enter_context(start(place.workers or cpu_count() or 1)))
        except (OSError, ValueError, RuntimeError) as error:
            where = place.scheduler or place.system or "this machine"
            raise BookError(f"no workers at {where}: {error}") from None
        stack.enter_context(client)
        if not place.scheduler:
            client.register_plugin(Deaf())
        yield client


def _local(workers: int) -> Any:
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        memory_limit=0,  # the memory is the kernels', which dask does not see
        dashboard_address=":0",  # any port: there may be other sweeps
        silence_logs=logging.CRITICAL,  # what matters is told by the runs
    )


def _slurm(workers: int) -> Any:
    """Jobs of one core each; queue, memory and time come from dask's own configuration."""
    jobqueue = _extra("dask_jobqueue", "slurm")
    if which("sbatch") is None:
        raise BookError("--slurm needs sbatch, which is not on this machine")
    jobs = jobqueue.SLURMCluster(cores=1, processes=1, python=sys.executable)
    jobs.scale(workers)
    return jobs


def _kubernetes(workers: int) -> Any:
    return _extra("dask_kubernetes.operator", "kubernetes").KubeCluster(n_workers=workers)


STARTS: dict[str, Callable[[int], Any]] = {
    "local": _local,
    "slurm": _slurm,
    "kubernetes": _kubernetes,
}


def _extra(module: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise BookError(f"--{extra} needs one more package: pip install 'lrnn[{extra}]'") from None


def dashboard(client: Client) -> str:
    """The address of dask's own page on its work; nothing without bokeh, which draws it."""
    return client.dashboard_link if find_spec("bokeh") else ""


def spread(
    client: Client,
    function: Callable[..., Any],
    tasks: Iterable[Any],
    *,
    busy: Callable[[Any], bool],
) -> Iterator[tuple[Any, Any]]:
    """Each task with its result, as they end; what a lost worker had begun is begun anew.

    function : called as function(task, wait=False)
    tasks : handed out one a worker, so that none is blamed for a worker that another one killed
    busy : whether a result means that the task is in other hands; it is then called again with
        wait=True, after all the others
    Returns : pairs of a task and its result, or the exception with which dask gave it up
    """
    waiting = deque((task, False) for task in tasks)
    handed_out: dict[Any, Any] = {}
    ended = as_completed()
    while waiting or handed_out:
        most = max(1, sum(client.nthreads().values()))
        while waiting and len(handed_out) < most:
            task, wait = waiting.popleft()
            # Other clients of the same scheduler may make the same run.
            future = client.submit(function, task, wait=wait, pure=False)
            handed_out[future] = task
            ended.add(future)
        future = next(ended)
        task = handed_out.pop(future)
        error = future.exception()
        result = error if error is not None else future.result()
        if error is None and busy(result):
            waiting.append((task, True))
        else:
            yield task, result

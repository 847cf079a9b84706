"""Execution of notebooks by papermill, side by side, one process each."""

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty
from typing import Any, NamedTuple

import nbformat
from nbformat import NotebookNode

# One thread a kernel: chapters run side by side, and sums of floats keep one order.
KERNEL_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}

SAVE_INTERVAL = 2.0  # seconds between saves of a notebook that is being executed


class Job(NamedTuple):
    """A notebook to execute.

    name : how progress and errors call it
    notebook : the source, parameterised or not
    changed : parameters to inject, by name; none for the published run
    folder : working directory of the kernel
    output : where the executed notebook goes, once it is whole
    metadata : added to the executed notebook, under `lrnn_run`
    limit : seconds that its cells may take in all; None for no limit
    """

    name: str
    notebook: NotebookNode
    changed: dict[str, Any]
    folder: Path
    output: Path
    metadata: dict[str, Any]
    limit: float | None = None

    @property
    def partial(self) -> Path:
        """Where the notebook lies while it is executed, and stays if a cell fails."""
        return self.output.with_suffix(".partial.ipynb")


class Started(NamedTuple):
    """A job has come to one of its cells."""

    name: str
    cell: int
    cells: int


class Finished(NamedTuple):
    """A job has ended; without an error, its output is whole."""

    name: str
    seconds: float
    error: str = ""


# Shows the progress of jobs, given by name, and passes on their endings.
Watch = Callable[[list[str], Iterable[Started | Finished]], Iterator[Finished]]


def execute_all(jobs: Iterable[Job], *, workers: int) -> Iterator[Started | Finished]:
    """Execute the jobs, one a worker at a time, telling what happens as it happens.

    A job that fails does not stop the others. Each has a process of its own, which ends with ours.
    """
    context = get_context("spawn")
    events = context.Queue()
    waiting = list(jobs)
    running: dict[str, BaseProcess] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.pop(0)
                # Daemons end with this process, however it ends.
                running[job.name] = context.Process(target=_work, args=(job, events), daemon=True)
                running[job.name].start()
            # Whoever is dead before an empty queue is seen has said all that it will.
            dead = [name for name, process in running.items() if not process.is_alive()]
            try:
                event = events.get(timeout=0.2)
            except Empty:
                for name in dead:
                    code = running.pop(name).exitcode
                    yield Finished(name, 0.0, f"its process ended with exit code {code}")
                continue
            if isinstance(event, Finished):
                running.pop(event.name).join()
            yield event
    finally:
        for process in running.values():
            process.terminate()


def _work(job: Job, events: Queue) -> None:
    """What a job's own process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)  # the parent was killed; the kernel watches this process in the same way

    threading.Thread(target=watch, daemon=True).start()
    events.put(execute(job, events.put))


def execute(job: Job, tell: Callable[[Started], None] = lambda event: None) -> Finished:
    """Execute one job in this process; what it has computed is kept whatever happens."""
    import papermill  # slow, with its kernel clients, and needed only here
    from nbclient.exceptions import CellTimeoutError
    from papermill.exceptions import PapermillExecutionError

    os.environ.update(KERNEL_ENVIRONMENT)
    logging.getLogger("papermill").addHandler(logging.NullHandler())  # errors are ours to tell
    last = Started(job.name, 0, 0)

    def note(event: Started) -> None:
        nonlocal last
        last = event
        tell(event)

    start = time.perf_counter()
    try:
        job.output.parent.mkdir(parents=True, exist_ok=True)
        executed = papermill.execute_notebook(
            job.notebook,
            str(job.partial),
            job.changed,
            engine_name=_telling_engine(job.name, note),
            cwd=str(job.folder),
            progress_bar=False,
            timeout_func=_countdown(job.limit),
        )
    except PapermillExecutionError as error:
        told = _describe(job, error)
    except CellTimeoutError:
        told = f"cell {last.cell}: stopped at the time limit of {job.limit:g} s"
    except Exception as error:  # a kernel that died or never came up: the other jobs go on
        told = f"cell {last.cell}: {type(error).__name__}: {error}"
    else:
        seconds = time.perf_counter() - start
        _clean(executed)
        executed.metadata["lrnn_run"] = {**job.metadata, "seconds": round(seconds, 2)}
        nbformat.write(executed, job.partial)
        job.partial.replace(job.output)
        return Finished(job.name, seconds)
    told += f"\npartial notebook: {job.partial}"
    return Finished(job.name, time.perf_counter() - start, told)


def _countdown(limit: float | None) -> Callable[[NotebookNode], float | None]:
    """Tells how many seconds the next cell may take, of a limit for all, from the first cell on."""
    begun: list[float] = []

    def time_left(cell: NotebookNode) -> float | None:
        if limit is None:
            return None
        begun.append(time.perf_counter())
        return max(begun[0] + limit - begun[-1], 0.01)  # 0 would mean no limit

    return time_left


def _telling_engine(name: str, tell: Callable[[Started], None]) -> str:
    """Register an engine that is papermill's own, but tells when a cell begins; its name."""
    from papermill.engines import NBClientEngine, papermill_engines

    class TellingEngine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, **kwargs):
            begin, total = nb_man.cell_start, len(nb_man.nb.cells)

            def cell_start(cell, cell_index, **rest):
                tell(Started(name, cell_index + 1, total))
                begin(cell, cell_index, **rest)

            nb_man.cell_start, save = cell_start, nb_man.save
            nb_man.save = _seldom(save)
            try:
                return super().execute_managed_notebook(nb_man, kernel_name, **kwargs)
            finally:
                nb_man.save = save  # papermill saves once more, whatever happened

    papermill_engines.register("telling", TellingEngine)
    return "telling"


def _seldom(save: Callable[..., None]) -> Callable[..., None]:
    """A save that passes over calls that follow another one closely.

    Papermill saves before and after every cell, which with large figures took a sixth of a run.
    Only what was computed in the last moments before a kill is lost.
    """
    last = float("-inf")

    def seldom(*args, **kwargs) -> None:
        nonlocal last
        if time.monotonic() - last > SAVE_INTERVAL:
            save(*args, **kwargs)
            last = time.monotonic()

    return seldom


def _describe(job: Job, error) -> str:
    """The failure in two lines: which cell, how it begins, the exception."""
    first = next((line for line in error.source.splitlines() if line.strip()), "")
    reason = error.evalue.splitlines()[0] if error.evalue else ""
    return f"cell {error.cell_index + 1}: {first.strip()}\n{error.ename}: {reason}"


def _clean(notebook: NotebookNode) -> None:
    """Take out what papermill writes into the metadata: the same run leaves the same file."""
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        if cell.metadata.get("tags") == []:
            del cell.metadata["tags"]


def write_json(path: Path, data: Any) -> None:
    """Write JSON so that the file is either the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(
        json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )
    beside.replace(path)

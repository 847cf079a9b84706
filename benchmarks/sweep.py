"""A sweep beside bare papermill in a warm process: what a run costs more, and how 40 runs scale."""

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from lrnn.book.chapter import Book
from lrnn.book.cluster import Place, connect
from lrnn.book.execute import execute
from lrnn.book.sweeps import make_all, plan

OVERHEAD, RATIO = 0.5, 1.3  # seconds a run; of the time that runs x bare / workers would take
WORKERS, BARE, RUNS = 2, 5, 40
PAGES = {
    "_config.yml": "title: Wait\n",
    "_toc.yml": "format: jb-book\nroot: chapters/01_wait\n",
    "chapters/01_wait.md": """---
kernelspec: {display_name: Python 3, language: python, name: python3}
---
```{code-cell} ipython3
:tags: [parameters]
seed: int = 0  # seed [0, inf)
```
```{code-cell} ipython3
import time
time.sleep(1)
```
""",
}


def run():
    """Print the times; the limits that were missed."""
    with TemporaryDirectory() as made:
        root = Path(made)
        for name, text in PAGES.items():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(text)
        book = Book(root)

        def sweep(runs, folder):
            rows = [{"seed": seed} for seed in range(runs)]
            return plan(book, book.chapter("01"), rows, folder=root / folder)

        def bare(folder):
            jobs = [task.job for task in sweep(BARE + 1, folder).tasks]
            execute(jobs[0])  # warms up
            start = perf_counter()
            for job in jobs[1:]:
                execute(job)
            return (perf_counter() - start) / BARE

        def swept(runs, workers, folder):
            with connect(Place(workers)) as client:
                place = Place(scheduler=client.scheduler.address)
                make_all(sweep(workers, f"warm-{folder}"), place)
                start = perf_counter()
                make_all(sweep(runs, folder), place)
                return perf_counter() - start

        # Before and after, as the machine may be busy for a while.
        first, alone, together = bare("bare-1"), swept(BARE, 1, "one"), swept(RUNS, WORKERS, "many")
        single = (first + bare("bare-2")) / 2
    overhead = alone / BARE - single
    ratio = together / (RUNS * single / WORKERS)
    print(f"bare papermill {single:.2f} s a run; in a sweep, {overhead:+.2f} s")
    print(f"{RUNS} runs on {WORKERS} workers: {together:.1f} s, {ratio:.2f} times the ideal")
    missed = [f"overhead {overhead:.2f} s a run > {OVERHEAD}"] if overhead > OVERHEAD else []
    return missed + ([f"{RUNS} runs: {ratio:.2f} > {RATIO}"] if ratio > RATIO else [])

"""The live display of a sweep: how many runs are done, failed and left."""

import time
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.live import Live

from lrnn.book.store import Outcome, Task


class Tally:
    """How many runs of a sweep are done, failed and left, and how long the rest may take.

    runs : number of runs to make
    workers : how many are made at a time
    """

    def __init__(self, runs: int, workers: int):
        self.left, self.workers = runs, workers
        self.ended = {"done": 0, "failed": 0}
        self.start = time.perf_counter()

    def note(self, outcome: Outcome) -> None:
        """Take in the ending of a run."""
        self.left -= 1
        self.ended[outcome.state] += 1

    def __rich__(self) -> str:
        counts = f"{self.ended['done']} done, {min(self.left, self.workers)} running"
        counts += f", {self.ended['failed']} failed, {max(self.left - self.workers, 0)} waiting"
        ended = sum(self.ended.values())
        if not ended:
            return counts
        seconds = (time.perf_counter() - self.start) / ended * self.left
        return f"{counts}; {seconds // 60:.0f} min {seconds % 60:.0f} s left"


def watch(
    runs: int, workers: int, link: str, endings: Iterable[tuple[Task, Outcome]], console: Console
) -> Iterator[tuple[Task, Outcome]]:
    """Draw the state of a sweep as its runs end, and pass on the endings."""
    tally = Tally(runs, workers)
    if link:
        console.print(f"dashboard: {link}", highlight=False)
    with Live(tally, console=console, refresh_per_second=4, transient=True):
        for task, outcome in endings:
            tally.note(outcome)
            yield task, outcome

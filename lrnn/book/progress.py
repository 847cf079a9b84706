"""The live display of an execution: which chapter, which cell, how long."""

import time
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.live import Live
from rich.table import Table

from lrnn.book.execute import Finished, Started


class Progress:
    """What is known of each job, drawn as a table that ages while it is watched."""

    def __init__(self, names: list[str]):
        self.start: dict[str, float] = {}
        self.last: dict[str, Started | Finished | None] = dict.fromkeys(names)

    def note(self, event: Started | Finished) -> None:
        """Take in one event."""
        self.start.setdefault(event.name, time.perf_counter())
        self.last[event.name] = event

    def __rich__(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for name, event in self.last.items():
            table.add_row(name, *self._state(name, event))
        return table

    def _state(self, name: str, event: Started | Finished | None) -> tuple[str, str]:
        match event:
            case None:
                return "waiting", ""
            case Started(cell=cell, cells=cells):
                seconds = time.perf_counter() - self.start[name]
                return f"cell {cell} of {cells}", f"{seconds:.0f} s"
            case Finished(seconds=seconds, error=error):
                return ("failed" if error else "done"), f"{seconds:.1f} s"


def watch(
    names: list[str], events: Iterable[Started | Finished], console: Console
) -> Iterator[Finished]:
    """Draw the events as they come and pass on the endings, each with a line of its own."""
    progress = Progress(names)
    with Live(progress, console=console, refresh_per_second=4, transient=True):
        for event in events:
            progress.note(event)
            if isinstance(event, Finished):
                state = "[red]failed[/red]" if event.error else "executed"
                console.print(f"{event.name} {state} in {event.seconds:.1f} s", highlight=False)
                yield event

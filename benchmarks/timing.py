"""Times that can be compared on a busy machine: taken in turns in one process, least of several."""

import time
import tracemalloc


def interleaved(functions, repeats):
    """Least wall time of each function, s, over `repeats` turns, after one call to warm up.

    Taking turns gives each the same share of whatever else the machine does, and the minimum is the
    estimate that such disturbances move least.
    """
    for function in functions:
        function()
    times = [[] for _ in functions]
    for _ in range(repeats):
        for function, own in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            own.append(time.perf_counter() - start)
    return [min(own) for own in times]


def peak_memory(function):
    """Greatest memory, bytes, that a call holds beyond what numpy and Python held before it."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        function()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

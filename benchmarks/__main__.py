"""Run the benchmarks named on the command line, or all; exit 1 if one misses a limit of its own."""

import os

# Before numpy is imported: more threads than one would measure the machine's other load.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import importlib  # noqa: E402
import pkgutil  # noqa: E402
import sys  # noqa: E402

import benchmarks  # noqa: E402

HELPERS = {"__main__", "timing"}


def main(names):
    known = sorted({module.name for module in pkgutil.iter_modules(benchmarks.__path__)} - HELPERS)
    unknown = set(names) - set(known)
    if unknown:
        print(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
        return 2
    failures = []
    for name in names or known:
        failures += importlib.import_module(f"benchmarks.{name}").run()
    for failure in failures:
        print(f"MISSED: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

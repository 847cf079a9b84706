"""What is timed, and against what: `python -m benchmarks [NAME]...` runs those, or all."""

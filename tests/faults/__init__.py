"""Faults on the real commands, by what they hit: `python -m tests.faults` counts what is lost."""

"""How a benchmark begins: `python -m benchmarks.NAME` in the repository; `--help` says the rest."""

import argparse
import sys
from collections.abc import Callable

from lab.base.script import run_script


def parser() -> argparse.ArgumentParser:
    """A parser without options; the description is what the module that is run says of itself."""
    return argparse.ArgumentParser(
        description=sys.modules["__main__"].__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run(main: Callable[[], None]) -> None:
    """Runs a benchmark that has no options."""
    parser().parse_args()
    run_script(main)

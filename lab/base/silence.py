"""Keeps off the screen what libraries say, pages of it, while they do what they are asked to."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

from lab.base.script import is_debugging


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Log lines, warnings and standard error are lost in the block, but for `LAB_DEBUG=1`."""
    if is_debugging():
        yield
        return
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

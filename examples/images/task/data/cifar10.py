"""CIFAR-10 by way of torchvision, which compares the files with their checksums.

60,000 colour images of 32 x 32, 10 classes. Source: Krizhevsky 2009, "Learning Multiple Layers of
Features from Tiny Images".
"""

import contextlib
import io
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lab.base.errors import SourceError, shortened
from lab.data.examples import Dataset, Examples

SOCKET_TIMEOUT_SECONDS = 15.0  # of silence; torchvision itself would wait for ever


def cifar10(raw: Path, say: Callable[[str], None]) -> Dataset:
    """CIFAR-10 with its own test split; 180 MB are downloaded unless they are in `raw`.

    Raises:
        SourceError: it cannot be downloaded, and is not there.
    """
    import torchvision.datasets as catalogue  # takes seconds: only where it is needed

    say(f"{raw}: CIFAR-10 is unpacked, and downloaded first unless it is there")
    try:
        with _socket_timeout(), _quiet_unless_terminal():
            train = catalogue.CIFAR10(raw, train=True, download=True)
            test = catalogue.CIFAR10(raw, train=False)
    except Exception as error:  # network, archive, decoding: each fails in ways of its own
        if isinstance(error, OSError) and error.filename is not None:
            raise  # of the disk
        archive = catalogue.CIFAR10.filename
        raise SourceError(
            f"{raw}: CIFAR-10 must come from {catalogue.CIFAR10.url} and be what its checksums "
            f"say; got {shortened(str(error) or type(error).__name__, 100)}; try again with a "
            f"network, or put {archive} there by hand"
        ) from None
    return Dataset(
        train=_examples(train),
        test=_examples(test),
        class_names=train.classes,
        kind="colour image",
        scaling="standardise",
        may_repeat=True,  # Barz and Denzler 2020 (arXiv 1902.00423): near-duplicates, some exact
    )


def _examples(split: Any) -> Examples:
    return Examples(
        inputs=np.ascontiguousarray(split.data.transpose(0, 3, 1, 2)),
        labels=np.array(split.targets),
    )


@contextlib.contextmanager
def _socket_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SOCKET_TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextlib.contextmanager
def _quiet_unless_terminal() -> Iterator[None]:
    """Keeps torchvision's progress bars out of logs."""
    if sys.stderr.isatty():
        yield
    else:
        with contextlib.redirect_stderr(io.StringIO()):
            yield

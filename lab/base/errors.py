"""The errors that a user can fix."""


class LabError(Exception):
    """Something the user can fix: the message says where, which rule, what value, what to do."""


class ParamsError(LabError):
    """`params.yaml`, or a name given on the command line, breaks a rule."""


class DataError(LabError):
    """An input file is missing, damaged or of the wrong shape."""


class SourceError(LabError):
    """No source could deliver the data set."""


class TaskError(LabError):
    """Code of `task/` raises, or gives what it must not."""


def shortened(text: str, limit: int = 240) -> str:
    r"""Text on one line, with an ellipsis where it is longer than `limit` characters.

    >>> shortened("no such\\n  file", limit=10)
    'no such...'
    """
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 3] + "..."

"""What the pipeline's stages share: one flat package, a noun per module."""

import importlib.util
import sys

from lab.base.errors import tell_of_interrupts

tell_of_interrupts()
if importlib.util.find_spec("safetensors") is None:
    print(
        "lab: the packages of requirements.txt are not installed for this Python; "
        "run `make repro`, or after it `source .venv/bin/activate`",
        file=sys.stderr,
    )
    raise SystemExit(2)

"""A library, preloaded into a command, that fails an operation or moves the clock."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.faults.cases import Place


def needs_a_compiler() -> str:
    return "" if shutil.which("cc") and sys.platform == "linux" else "a C compiler, on Linux"


def compiled(folder: Path) -> Path:
    shim = folder / "faults.so"
    source = Path(__file__).with_name("preload.c")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    return shim


def fresh_state(place: Place) -> Path:
    state = place.project.folder.with_name(place.project.folder.name + ".state")
    state.write_bytes(bytes(16))
    return state


def preloaded(place: Place, state: Path, **variables: str) -> dict[str, str]:
    return {
        "LD_PRELOAD": str(place.shim),
        "FAULT_STATE": str(state),
        "FAULT_FOLDER": f"{place.project.folder}/",
        **variables,
    }

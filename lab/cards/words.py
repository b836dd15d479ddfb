"""What a team says of its model, in `task/model.md`: front matter and sections, all optional."""

import re
from dataclasses import dataclass
from pathlib import Path

from lab.base import front_matter
from lab.base.errors import DataError, shortened
from lab.base.files import read_bytes

WORDS = Path("task/model.md")
# Of Mitchell et al. 2019, "Model Cards for Model Reporting", section 4, in its order.
SECTIONS = (
    "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
    "Quantitative analyses", "Ethical considerations", "Caveats and recommendations",
)  # fmt: skip
MEASURED = ("model-index", "library_name", "metrics")  # of the front matter, by the stage
REMEDY = "see docs/cards.md"


@dataclass(frozen=True)
class Words:
    """Of a model.

    Args:
        front: the front matter's own text, without its lines ---; empty: none.
        licence: as that says it.
        sections: text by section.
    """

    front: str
    licence: str | None
    sections: dict[str, str]


def read(path: Path) -> Words:
    """Reads the file; one that is missing says nothing.

    Raises:
        DataError: it is no UTF-8, has a section that no card has, or what a stage measures.
    """
    if not path.exists():
        return Words("", None, {})
    tree, front, text = _parts(path)
    for key in MEASURED:
        if key in tree:
            raise DataError(f"{path}: {key}: is written by the stage; got it there; remove it")
    licence = tree.get("license")
    if licence is not None and not isinstance(licence, str):
        raise DataError(f"{path}: license: must be text; got {licence!r}; correct it")
    before, *parts = re.split(r"^## +(.*)$", text, flags=re.MULTILINE)
    if before.strip():
        raise DataError(
            f"{path}: text must stand below a heading `## SECTION`; got "
            f"{shortened(before, 60)}; {REMEDY}"
        )
    sections: dict[str, str] = {}
    for title, said in zip(map(str.strip, parts[::2]), parts[1::2], strict=True):
        if title not in SECTIONS or title in sections:
            raise DataError(
                f"{path}: a section must be one of {', '.join(SECTIONS)}, and once; "
                f"got {shortened(title, 60)}; {REMEDY}"
            )
        sections[title] = said.strip()
    return Words(front.strip("\n"), licence, sections)


def _parts(path: Path) -> tuple[dict[str, object], str, str]:
    try:
        text = read_bytes(path, front_matter.MAX_BYTES).decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise DataError(f"{path}: must be UTF-8; got other bytes; save it as UTF-8") from None
    return front_matter.read(path, REMEDY) if text.startswith("---\n") else ({}, "", text)

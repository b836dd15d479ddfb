"""No IDX file, whatever is in it, does more than be refused in one line."""

from pathlib import Path

import pytest

from tests.support import ROOT
from tests.test_inputs import CASES, PARTS, tried


@pytest.mark.parametrize("part", range(PARTS))
def test_every_idx_file_is_taken_or_refused_in_one_line(part: int, tmp_path: Path) -> None:
    tried(ROOT / "tests/task/idx_inputs.py", "IDX", part, 3 * CASES // 10 // PARTS, tmp_path)

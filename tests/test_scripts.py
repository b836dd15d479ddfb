"""Every root script starts alike: Ctrl-C is one line even while it imports what takes seconds."""

import ast

import pytest
from support import ROOT

SCRIPTS = sorted(path.name for path in ROOT.glob("*.py"))
BEGIN = 'if __name__ == "__main__":\n    begin()'


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_begins_before_it_imports_anything_else(name):
    """`begin` comes from a module that imports the standard library alone."""
    docstring, first, second, *_ = ast.parse((ROOT / name).read_text(encoding="utf-8")).body

    assert isinstance(docstring, ast.Expr)
    assert ast.unparse(first) == "from lab.base.script import begin, run_script"
    assert ast.unparse(second) == ast.unparse(ast.parse(BEGIN))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_runs_nothing_when_it_is_imported(name):
    *_, last = ast.parse((ROOT / name).read_text(encoding="utf-8")).body

    assert ast.unparse(last) == ast.unparse(
        ast.parse('if __name__ == "__main__":\n    run_script(main)')
    )

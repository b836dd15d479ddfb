"""`lab/README.md` from the docstrings: `python -m tests.module_list > lab/README.md`."""

import ast
import graphlib
import tomllib
from collections.abc import Iterator
from pathlib import Path

import grimp

ROOT = Path(__file__).parent.parent
HEAD = """\
# The packages of lab/

One line a module, in the order of imports: a package imports only from those above it, a module
only from those above it in its package. `make check` holds the packages to their contract, which
is in [`pyproject.toml`](../pyproject.toml). The words are those of the
[glossary](../docs/glossary.md).
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(f"\n## {package}\n\n{rows(package)}" for package in packages())


def packages() -> Iterator[str]:
    """The packages, lowest layer first, as import-linter's contract has them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "importlinter"
    ]
    layers = next(one["layers"] for one in settings["contracts"] if one["type"] == "layers")
    for layer in reversed(layers):
        yield from layer.split(" | ")


def rows(package: str) -> str:
    """The package's docstring, and a row for each of its modules."""
    lines = [f"{first_line(package, '__init__')}\n", "| module | |", "|---|---|"]
    lines += [f"| `{name}` | {first_line(package, name)} |" for name in modules(package)]
    return "\n".join(lines) + "\n"


def modules(package: str) -> list[str]:
    """The modules of a package, each after those it imports."""
    graph = grimp.build_graph("lab", cache_dir=None)
    within = sorted(graph.find_children(f"lab.{package}"))
    imported = {
        name: sorted(graph.find_modules_directly_imported_by(name) & set(within)) for name in within
    }
    ordered = graphlib.TopologicalSorter(imported).static_order()
    return [name.rpartition(".")[2] for name in ordered]


def first_line(package: str, module: str) -> str:
    """The first line of a module's docstring."""
    tree = ast.parse((ROOT / "lab" / package / f"{module}.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n")[0].replace("|", r"\|")


if __name__ == "__main__":
    print(page(), end="")

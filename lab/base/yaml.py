"""YAML out of bytes that nobody has to trust."""

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.nodes import ScalarNode

from lab.base.conflicts import require_none_in
from lab.base.errors import ParamsError, shortened

MAX_DEPTH = 50  # of lists and mappings in each other
MAX_DIGITS = 1_000  # Python writes no number of more than 4,300


class _Composer(Composer):
    """Refuses anchors: an alias repeated at each level makes a small file huge once expanded."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.parser.peek_event()
        if event.anchor is not None:
            problem = "anchors (&) are not read, write the values out"
            raise ComposerError(None, None, problem, event.start_mark)
        return super().compose_node(parent, index)


class _Constructor(SafeConstructor):
    """Refuses numbers that Python could not write down again, in an error for instance."""

    def construct_yaml_int(self, node: ScalarNode) -> Any:
        if len(node.value) > MAX_DIGITS:
            problem = f"a number has at most {MAX_DIGITS:,} digits"
            raise ConstructorError(None, None, problem, node.start_mark)
        return super().construct_yaml_int(node)


_Constructor.add_constructor("tag:yaml.org,2002:int", _Constructor.construct_yaml_int)


def read_yaml(content: bytes, where: str, limit: int) -> Any:
    """Plain values out of the bytes of a YAML file; `where` names it in errors.

    Raises:
        ParamsError: they are more than `limit`, not YAML, or YAML that only builds traps.
        ConflictError: they are not YAML for what git left of a merge.
    """
    if len(content) > limit:
        raise ParamsError(
            f"{where}: at most {limit:,} bytes; got {len(content):,}; remove what is not needed"
        )
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer, yaml.Constructor, yaml.max_depth = _Composer, _Constructor, MAX_DEPTH
    try:
        return yaml.load(content.decode())
    except UnicodeDecodeError as error:
        raise ParamsError(f"{where}: not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except Exception as error:  # values that do not fit their tags raise nearly anything
        require_none_in(content, where)
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error) or type(error).__name__
        raise ParamsError(
            f"{where}{place}: not valid YAML: {shortened(problem)}; fix that line"
        ) from None

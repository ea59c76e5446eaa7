"""docs/errors.md shows the errors as lateshift.errors has them."""

import inspect
from pathlib import Path

from lateshift import errors

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "errors.md").read_text(encoding="utf-8")


def test_the_tree_is_that_of_the_module():
    """Each error once, below its base, with the same words."""
    tree = TEXT.partition("```text\n")[2].partition("```")[0]
    assert tree in inspect.cleandoc(errors.__doc__).replace("\n    ", "\n")
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and kind.__module__ == errors.__name__:
            assert f" {name} " in tree or tree.startswith(f"{name}\n")

"""The folder is the registry: a file in ``methods/`` or ``datasets/`` is found because it is there.

``WSSS_METHODS=/a/folder`` (several separated as in PATH) adds out-of-tree methods, which are the user's own code and
run with the user's rights. Listing reads only docstrings, so a broken module shows up as broken instead of hiding the
others; using it raises its own error.
"""

import ast
import importlib
import os
import pkgutil
from pathlib import Path
from types import ModuleType

from wsss.benchmark.dataset import Dataset
from wsss.benchmark.errors import UsageError, unknown_name
from wsss.benchmark.names import is_safe


def _package(kind: str) -> ModuleType:
    package = importlib.import_module(f"wsss.{kind}")
    if kind == "methods":
        for folder in filter(None, os.environ.get("WSSS_METHODS", "").split(os.pathsep)):
            if not Path(folder).is_dir():
                raise UsageError(f"WSSS_METHODS names {folder}, which is not a folder")
            if folder not in package.__path__:
                package.__path__.append(folder)
                importlib.invalidate_caches()
    return package


def names(kind: str) -> list[str]:
    """The modules of ``"methods"`` or ``"datasets"``; a leading underscore marks a helper, a package is not one.

    Raises:
        UsageError: One has a name that no folder of results can have.
    """
    found = pkgutil.iter_modules(_package(kind).__path__)
    names = sorted({m.name for m in found if not m.ispkg and not m.name.startswith("_")})
    if unsafe := next((name for name in names if not is_safe(name)), None):
        raise UsageError(f"{kind}: {unsafe[:80]!r} cannot be a name; use letters, digits and underscores")
    return names


def summary(kind: str, name: str) -> str:
    """First line of a module's docstring, read without importing it; what keeps it from being read is told instead."""
    try:
        text = _source(kind, name).read_text("utf-8")
        return (ast.get_docstring(ast.parse(text)) or "(no docstring)").splitlines()[0]
    except SyntaxError as error:
        return f"(broken: {error.msg}, line {error.lineno})"
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        return f"(broken: {error})"


def _source(kind: str, name: str) -> Path:
    if name not in names(kind):
        raise unknown_name(kind.removesuffix("s"), name, names(kind))
    folders = map(Path, _package(kind).__path__)
    return next(path for folder in folders if os.path.lexists(path := folder / f"{name}.py"))


def load(kind: str, name: str, base: type) -> type:
    """The one subclass of ``base`` that the module defines itself (an imported parent does not count).

    Raises:
        UsageError: No such module, or it does not define exactly one.
    """
    _source(kind, name)
    module = importlib.import_module(f"wsss.{kind}.{name}")
    own = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__]
    found = [cls for cls in own if issubclass(cls, base)]
    if len(found) != 1:
        classes = ", ".join(cls.__name__ for cls in found) or "none"
        raise UsageError(f"{kind}/{name}.py must define exactly one {base.__name__}, it defines {classes}")
    return found[0]


def dataset(name: str) -> type[Dataset]:
    """The adapter of that name."""
    return load("datasets", name, Dataset)


def method(name: str) -> type:
    """The method of that name; imports torch."""
    from wsss.benchmark.method import Method

    return load("methods", name, Method)

"""Lets a CUDA build of torchvision import beside a CPU build of torch. Import this before torchvision.

Such a torchvision cannot load its compiled operators and then fails to register shapes for two of them that were never
declared. Declaring their schemas mends the import; the operators themselves (nms, qnms) stay unusable, and nothing here
calls them. Where the compiled operators load, nothing is declared.
"""

import importlib.util
from pathlib import Path

import torch

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def _operators_load() -> bool:
    """Whether torchvision's compiled operators can be loaded, tried the way torchvision tries."""
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        return True  # no torchvision: importing it will say so
    for library in sorted(Path(found.origin).parent.glob("_C.*")):
        try:
            torch.ops.load_library(str(library))
        except OSError:
            return False
    return True


def _declare() -> torch.library.Library | None:
    if torch.version.cuda is not None or _operators_load():
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name, schema in _SCHEMAS.items():
        if not hasattr(torch.ops.torchvision, name):
            library.define(schema)
    return library


LIBRARY = _declare()
"""Keeps the declarations alive."""

"""Points as a picture: seen from behind and above the camera that took the image, the nearest in front."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

BACK, RAISED, AHEAD = 0.45, 0.55, 0.75
"""Where the onlooker stands and looks, as shares of the typical distance of the frame's points: behind the camera,
above it, and at what lies this far ahead on the ground."""
TAKEN = 0.98
"""Share of the frame's points that the picture takes in, along each side."""
NEAR = 0.05
"""Distance, as a share of the typical one, within which a point is not drawn."""
MARGIN = 1.12
"""Around them."""
POINT = 0.006
"""Radius of a drawn point as a share of the typical distance."""
LARGEST = 3
"""Pixels that a drawn point reaches to either side, at most."""


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """A camera to look at points with: it stands among them in their axes, z up."""

    eye: Float[np.ndarray, "3"]
    rotation: Float[np.ndarray, "3 3"]
    """Points from view: columns are right, down and forward."""
    reach: float
    """Typical distance of the points, in their units."""
    window: tuple[float, float, float, float]
    """Middle and half sides of what the picture takes in, in the plane at distance 1: right, down, right, down."""

    @classmethod
    def behind(cls, arrays: dict[str, np.ndarray], like: "Outlook | None" = None) -> "Outlook":
        """Behind and above the camera of a stored scene; where nobody knows it, on the side of smaller y.

        Args:
            arrays: As stored.
            like: Of another source whose axes have the same unit and another origin; None to fit the frame's points.
        """
        own = (arrays["pixel"] >= 0).all(1)
        xyz = arrays["xyz"][own if own.any() else slice(None)].astype(np.float64)
        pose = arrays["camera"].astype(np.float64)
        middle = xyz.mean(0) if len(xyz) else np.zeros(3)
        if np.isfinite(pose).all():
            camera, forward = pose[:3, 3], pose[:3, 2]
        else:
            spread = float(np.sqrt(((xyz - middle) ** 2).sum(1).mean())) if len(xyz) else 1.0
            camera, forward = middle - (0, 1.5 * spread, 0), np.array([0.0, 1.0, 0.0])
        forward = np.array([forward[0], forward[1], 0.0])
        forward /= max(float(np.linalg.norm(forward)), 1e-9)
        away = np.linalg.norm(xyz - camera, axis=1)
        reach = like.reach if like else max(float(np.median(away)), 1e-3) if len(away) else 1.0
        up = np.array([0.0, 0.0, 1.0])
        eye = camera - BACK * reach * forward + RAISED * reach * up
        ground = min(camera[2], 0.35 * reach)
        target = camera + AHEAD * reach * forward - ground * up
        ahead = (target - eye) / np.linalg.norm(target - eye)
        right = np.cross(ahead, up) / np.linalg.norm(np.cross(ahead, up))
        rotation = np.stack([right, np.cross(ahead, right), ahead], 1)
        window = like.window if like else _window((xyz - eye) @ rotation, reach)
        return cls(eye=eye, rotation=rotation, reach=reach, window=window)


def _window(local: Float[np.ndarray, "n 3"], reach: float) -> tuple[float, float, float, float]:
    """Middle and half sides of where most points are seen."""
    front = local[local[:, 2] > NEAR * reach]
    if not len(front):
        return 0.0, 0.0, 1.0, 1.0
    low, high = np.quantile(front[:, :2] / front[:, 2:], (1 - TAKEN, TAKEN), axis=0)
    middle, half = (low + high) / 2, np.maximum((high - low) / 2 * MARGIN, 1e-3)
    return float(middle[0]), float(middle[1]), float(half[0]), float(half[1])


def render(
    xyz: Float[np.ndarray, "n 3"], colors: UInt8[np.ndarray, "n 3"], outlook: Outlook, size: tuple[int, int]
) -> UInt8[np.ndarray, "h w 3"]:
    """Points in perspective over white, as squares that shrink with distance.

    Args:
        xyz: In the axes of the outlook.
        colors: Of the points.
        outlook: From where.
        size: Rows and columns of the picture.
    """
    rows, columns = size
    across, down, wide, tall = outlook.window
    focal = min(columns / wide, rows / tall) / 2
    local = (xyz.astype(np.float64) - outlook.eye) @ outlook.rotation
    front = np.flatnonzero(local[:, 2] > NEAR * outlook.reach)
    front = front[np.argsort(-local[front, 2], kind="stable")]  # of several on one pixel the nearest is written last
    x, y, depth = local[front].T
    column = np.round(focal * (x / depth - across) + columns / 2).astype(int)
    row = np.round(focal * (y / depth - down) + rows / 2).astype(int)
    radius = np.clip(np.round(POINT * outlook.reach * focal / depth), 1, LARGEST).astype(int)
    picture, nearest = np.full((rows * columns, 3), 255, np.uint8), np.full(rows * columns, np.inf)
    shades = colors[front]
    for shift in np.ndindex(2 * LARGEST + 1, 2 * LARGEST + 1):
        r, c = row + shift[0] - LARGEST, column + shift[1] - LARGEST
        use = (r >= 0) & (r < rows) & (c >= 0) & (c < columns) & (radius >= max(abs(s - LARGEST) for s in shift))
        place, far, shade = (r * columns + c)[use], depth[use], shades[use]
        closer = far < nearest[place]
        picture[place[closer]], nearest[place[closer]] = shade[closer], far[closer]
    return picture.reshape(rows, columns, 3)

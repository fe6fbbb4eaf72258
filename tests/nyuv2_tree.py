"""A small NYU Depth v2 as its archives unpack, and the publisher's projection of depth, written down step by step."""

import io
from pathlib import Path

import cv2
import h5py
import numpy as np
from PIL import Image
from scipy.io import savemat

SIZE = (48, 64)
FINE = ("wall", "office chair", "book", "bottle", "rug", "window pane", "chair")
MAP = (1, 5, 23, 40, 20, 9, 5)
CLASSES = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture", "counter",
    "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor mat", "clothes", "ceiling", "books",
    "refridgerator", "television", "paper", "towel", "shower curtain", "box", "whiteboard", "person", "night stand",
    "toilet", "sink", "lamp", "bathtub", "bag", "otherstructure", "otherfurniture", "otherprop",
)  # fmt: skip
START = 1294886362.0
"""Unix time of the first picture."""
LABELLED = (
    ("kitchen_0003", 900.0),
    ("bedroom_0001a", 1.0),
    ("office_0002", 500.25),
    ("bedroom_0001a", 1.5),
)
"""Room, which is also its raw folder, and seconds after START; the kitchen has no raw folder."""
TRAIN, TEST = (1, 2, 4), (3,)

COLOR_LENS = (0.20796615318809061, -0.58613825163911781, 0.00072231363135888329, 0.0010479627195765181,
              0.49856986684705107)  # fmt: skip
DEPTH_LENS = (-0.099897236553084481, 0.39065324602765344, 0.0019290592870229277, -0.0019422022475975055,
              -0.51031725053400578)  # fmt: skip


def labels(seed: int = 0) -> np.ndarray:
    """Walls, two chairs side by side of two names, an unannotated strip, and one label beyond the names."""
    ids = np.full(SIZE, 1, np.uint16)
    ids[30:] = 5
    ids[20:40, 10:20] = 2
    ids[20:40, 20:30] = 7
    ids[10:18, 40:56] = 6
    ids[5:9, 4 : 24 + seed] = 4
    ids[:, :2] = 0
    ids[44:, 60:] = 99
    return ids


def instances() -> np.ndarray:
    """Numbers count anew for each label."""
    numbers = np.zeros(SIZE, np.uint8)
    numbers[20:40, 10:20] = 1
    numbers[20:40, 20:30] = 1
    numbers[10:18, 40:48] = 1
    numbers[10:18, 48:56] = 2
    return numbers


def picture(seed: int) -> np.ndarray:
    smooth = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(smooth, SIZE[::-1], interpolation=cv2.INTER_LINEAR)


def raw_depth(seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A slanted wall with a box before it, a hole, and a strip too near to measure."""
    rows, columns = np.indices(size) / np.array(size).reshape(2, 1, 1)
    metres = 2.5 + 0.4 * columns + 0.2 * rows + 0.02 * seed
    metres[(rows > 0.4) & (rows < 0.8) & (columns > 0.5) & (columns < 0.7)] = 1.6
    raw = np.round(1092.5 - 351.3 / metres).astype(np.uint16)
    raw[(rows < 0.2) & (columns > 0.8)] = 2047
    raw[rows > 0.95] = 450
    return raw


def like_the_toolbox(raw: np.ndarray, *, sign: int = -1, transpose: bool = False) -> np.ndarray:
    """``project_depth_map`` in its own words: MATLAB's 1-based pixels, R_flat, T = [t_x; t_z; t_y]; 0 is missing.

    ``sign`` and ``transpose`` make the mistakes that its notation invites.
    """
    height, width = raw.shape
    down, across = height / 480, width / 640
    fx_rgb, fy_rgb, cx_rgb, cy_rgb = 518.85790117450188, 519.46961112127485, 325.58244941119034, 253.73616633400465
    fx_d, fy_d, cx_d, cy_d = 582.62448167737955, 582.69103270988637, 313.04475870804731, 238.44389626620386
    fx_rgb, fx_d, fy_rgb, fy_d = fx_rgb * across, fx_d * across, fy_rgb * down, fy_d * down
    cx_rgb, cx_d = ((c - 0.5) * across + 0.5 for c in (cx_rgb, cx_d))
    cy_rgb, cy_d = ((c - 0.5) * down + 0.5 for c in (cy_rgb, cy_d))
    flat = sign * np.array([0.99997798940829263, 0.0050518419386157446, 0.0043011152014118693, -0.0050359919480810989,
                            0.99998051861143999, -0.0036879781309514218, -0.0043196624923060242,
                            0.0036662365748484798, 0.99998394948385538])  # fmt: skip
    R = np.linalg.inv(flat.reshape(3, 3, order="F").T)
    R = R.T if transpose else R
    t_x, t_z, t_y = 0.025031875059141302, -0.00029342312935846411, 0.00066238747008330102
    T = np.array([[t_x], [t_z], [t_y]])
    columns, rows = np.meshgrid(np.arange(1, width + 1.0), np.arange(1, height + 1.0))
    x, y = (columns - cx_d) / fx_d, (rows - cy_d) / fy_d
    k1, k2, p1, p2, k3 = DEPTH_LENS
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    there_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    there_y = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    column = np.rint(there_x * fx_d + cx_d).astype(int) - 1
    row = np.rint(there_y * fy_d + cy_d).astype(int) - 1
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    value = np.where(inside, raw[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)], 2047).astype(float)
    value[value < 600] = 2047
    depth = 351.3 / (1092.5 - value)
    depth[depth < 0] = 0
    points = R @ np.stack([x * depth, y * depth, depth]).reshape(3, -1) + T
    with np.errstate(divide="ignore", invalid="ignore"):
        column = np.rint(points[0] * fx_rgb / points[2] + cx_rgb)
        row = np.rint(points[1] * fy_rgb / points[2] + cy_rgb)
    out = np.zeros(raw.shape, np.float32)
    for place in np.argsort(-depth.ravel(), kind="stable"):
        if depth.flat[place] > 0 and 0 < column[place] <= width and 0 < row[place] <= height:
            out[int(row[place]) - 1, int(column[place]) - 1] = depth.flat[place]
    return np.minimum(out, 10)


def raw_name(kind: str, seconds: float) -> str:
    time = START + seconds
    return f"{kind}-{time:.6f}-{int(time * 6e7) % 2**32}"


def write_pgm(path: Path, raw: np.ndarray) -> None:
    """Little-endian, whatever PGM says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"P5\n%d %d\n65535\n" % raw.shape[::-1] + raw.astype("<u2").tobytes())


def write_ppm(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, "PPM")


def cells(file: h5py.File, name: str, texts: list[str]) -> None:
    """A MATLAB cell array of texts (n, 1), which HDF5 shows as (1, n) references."""
    references = np.empty((1, len(texts)), h5py.ref_dtype)
    for place, text in enumerate(texts):
        array = np.array([[ord(letter)] for letter in text], np.uint16)
        references[0, place] = file.create_dataset(f"#refs#/{name}{place}", data=array).ref
    file.create_dataset(name, data=references, dtype=h5py.ref_dtype)


def write_mat(path: Path, *, labelled: tuple[tuple[str, float], ...] = LABELLED) -> None:
    count = len(labelled)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        file["images"] = np.stack([picture(i).transpose(2, 1, 0) for i in range(count)])
        depths = np.stack([like_the_toolbox(raw_depth(i)).T for i in range(count)])
        file["rawDepths"] = depths
        file["depths"] = np.where(depths > 0, depths, np.float32(2))
        file["labels"] = np.stack([labels(i).T for i in range(count)])
        file["instances"] = np.stack([instances().T] * count)
        file["accelData"] = np.zeros((4, count), np.float32)
        cells(file, "names", list(FINE))
        cells(file, "scenes", [room for room, _ in labelled])
        cells(file, "sceneTypes", [room.rpartition("_")[0] for room, _ in labelled])
        cells(file, "rawRgbFilenames", [f"{room}/{raw_name('r', time)}.ppm" for room, time in labelled])
        cells(file, "rawDepthFilenames", [f"{room}/{raw_name('d', time)}.pgm" for room, time in labelled])


def write_lists(
    root: Path, *, train: tuple[int, ...] = TRAIN, test: tuple[int, ...] = TEST, compressed: bool = True
) -> None:
    columns = {"trainNdxs": np.array([train], np.uint16).T, "testNdxs": np.array([test], np.uint16).T}
    mapping = {"mapClass": np.array([MAP], np.uint8), "className": cell(CLASSES), "allClassName": cell(FINE)}
    for name, values in (("splits", columns), ("classMapping40", mapping)):
        stream = io.BytesIO()
        savemat(stream, values, do_compression=compressed)
        (root / f"{name}.mat").write_bytes(stream.getvalue())


def cell(texts: tuple[str, ...]) -> np.ndarray:
    array = np.empty((1, len(texts)), object)
    array[0] = texts
    return array


def write_nyuv2(root: Path, raw: str = "raw") -> Path:
    """Four labelled frames of three rooms; 10 Hz of video around the bedroom's and the office's, depth 12 ms late."""
    write_mat(root / "nyu_depth_v2_labeled.mat")
    write_lists(root)
    for room, moment in (("bedroom_0001a", 1.0), ("bedroom_0001a", 1.5), ("office_0002", 500.25)):
        folder = root / raw / room
        for step in range(-3, 4):
            time = moment + step / 10
            write_ppm(folder / f"{raw_name('r', time)}.ppm", picture(step + 7))
            write_pgm(folder / f"{raw_name('d', time + 0.012)}.pgm", raw_depth(step))
            (folder / f"{raw_name('a', time + 0.003)}.dump").write_bytes(bytes(16))
        (folder / "INDEX.txt").write_text("not a frame\n", "utf-8")
    return root

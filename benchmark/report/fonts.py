"""The figures' typeface: DejaVu Sans with the characters that a report can print, so that embedding it reads little.

For every PDF matplotlib reads the whole font, 6,000 glyphs with their rules of layout, to keep the 60 that are used.
Here a smaller font is made once per process, with the same outlines, hints, kerning and ligatures, under a name of its
own as its licence asks. What it lacks is taken from the whole one.
"""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from fontTools import subset
from matplotlib import font_manager, get_data_path

FAMILY = "wsss Sans"
"""Name of the small font."""
FILES = {"DejaVuSans.ttf": "Regular", "DejaVuSans-Bold.ttf": "Bold"}
"""Those of matplotlib that figures use, and their style."""
RANGES = ((0x20, 0x17F), (0x370, 0x3FF), (0x2010, 0x206F), (0x2070, 0x209F), (0x2190, 0x21FF), (0x2200, 0x22FF))
"""Latin, Greek, punctuation, raised and lowered digits, arrows, signs of mathematics."""


def families(text: str) -> list[str]:
    """The font families of figures: the small one, and the whole one after it where the small one lacks a character.

    Args:
        text: What the figures print beside this package's own words. A second family makes every text slower to draw.
    """
    lacks = any(not any(first <= ord(letter) <= last for first, last in RANGES) for letter in text)
    return [_small(), *(["DejaVu Sans"] if lacks else [])]


@cache
def _small() -> str:
    """Name of the small font, known to matplotlib from the first call on."""
    folder = Path(tempfile.mkdtemp(prefix="wsss-fonts-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name, style in FILES.items():
        path = folder / name.replace("DejaVu", "wsss")
        _reduce(Path(get_data_path()) / "fonts" / "ttf" / name, path, style)
        font_manager.fontManager.addfont(path)
    return FAMILY


def _reduce(source: Path, target: Path, style: str) -> None:
    options = subset.Options(layout_features=["*"], glyph_names=True, legacy_kern=True, notdef_outline=True)
    options.drop_tables += ["FFTM"]  # a time stamp of the editor's
    with subset.load_font(str(source), options) as font:
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=[code for first, last in RANGES for code in range(first, last + 1)])
        subsetter.subset(font)
        postscript = f"{FAMILY.replace(' ', '')}-{style}"
        names = {1: FAMILY, 2: style, 3: postscript, 4: f"{FAMILY} {style}", 6: postscript}
        for record in font["name"].names:
            if record.nameID in names:
                font["name"].setName(
                    names[record.nameID], record.nameID, record.platformID, record.platEncID, record.langID
                )
        subset.save_font(font, str(target), options)

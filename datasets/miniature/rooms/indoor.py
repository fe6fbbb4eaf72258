"""What indoor things are called, and which of the 40 classes of NYUv2 each belongs to."""

CLASSES_40: dict[str, int] = {
    "wall": 1, "floor": 2, "cabinet": 3, "wardrobe": 3, "bed": 4, "blanket": 4, "chair": 5, "office chair": 5,
    "armchair": 5, "sofa": 6, "table": 7, "coffee table": 7, "dining table": 7, "side table": 7, "door": 8,
    "window": 9, "window frame": 9, "sky": 9, "bookshelf": 10, "picture": 11, "counter": 12, "blinds": 13, "desk": 14,
    "shelf": 15, "curtain": 16, "dresser": 17, "pillow": 18, "mirror": 19, "floor mat": 20, "rug": 20, "clothes": 21,
    "ceiling": 22, "book": 23, "refrigerator": 24, "television": 25, "paper": 26, "towel": 27, "shower curtain": 28,
    "box": 29, "whiteboard": 30, "person": 31, "night stand": 32, "toilet": 33, "sink": 34, "lamp": 35, "bathtub": 36,
    "bag": 37, "backpack": 37, "light": 38, "radiator": 38, "stove": 38, "range hood": 38, "faucet": 38,
    "tv stand": 39, "garbage bin": 39, "ottoman": 39, "laundry basket": 39,
    "piano": 39, "bottle": 40, "cup": 40, "plant": 40, "vase": 40, "bowl": 40, "monitor": 40, "keyboard": 40,
    "laptop": 40, "printer": 40, "microwave": 40, "kettle": 40, "telephone": 40, "toy": 40, "ball": 40, "clock": 40,
    "light switch": 40, "toilet paper": 40, "candle": 40, "shoe": 40, "plate": 40, "guitar": 40, "fan": 40,
}  # fmt: skip
"""Official number, from 1, of the class of every kind of face in a room; the sky is what windows show."""

NAMES_40: tuple[str, ...] = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture", "counter",
    "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor mat", "clothes", "ceiling", "books",
    "refridgerator", "television", "paper", "towel", "shower curtain", "box", "whiteboard", "person", "night stand",
    "toilet", "sink", "lamp", "bathtub", "bag", "otherstructure", "otherfurniture", "otherprop",
)  # fmt: skip
"""Names of the 40 classes, spelt as in the official file."""

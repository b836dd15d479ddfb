"""One image file of whatever kind -> an array of the size and channels that networks see."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lab.base.errors import shortened

# By content, not by name; without formats that start programs, such as EPS.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
BACKGROUND = "white"  # behind what is transparent, and beside what is padded
SPARE = 2  # a JPEG is decoded at no less than so many times the size wanted, as Pillow's thumbnails


@dataclass(frozen=True)
class Form:
    """What all images become."""

    height: int
    width: int
    fit: Literal["crop", "pad"]
    grey: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image's array."""
        return (self.height, self.width) if self.grey else (3, self.height, self.width)

    @property
    def mode(self) -> str:
        """As Pillow names it."""
        return "L" if self.grey else "RGB"


class ImageFileError(Exception):
    """A file is no image that can be used; the message says why."""


def decoded(path: Path, form: Form) -> NDArray[np.uint8]:
    """An image file as uint8, [H, W] grey or [3, H, W] colour.

    It is turned as its EXIF orientation says; what is transparent gets a white background; 16 bits
    become 8; of several frames the first is taken. Colour profiles are not applied.

    Raises:
        ImageFileError: it is damaged, cut off, no image, or has more than 89 million pixels, beyond
            which Pillow suspects an attack on memory (a caller has to make its warning an error).
        OSError: it cannot be opened.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            # Many times faster for photographs; a square, because it may yet be turned.
            image.draft("", (SPARE * max(form.height, form.width),) * 2)
            ImageOps.exif_transpose(image, in_place=True)
            pixels = np.asarray(_opaque(_fitted(_eight_bit(image, form), form), form))
    except MemoryError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        most = Image.MAX_IMAGE_PIXELS or 0
        raise ImageFileError(f"must have at most {most:,} pixels; got more") from None
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk, not of what the file holds
        # Pillow repeats the path, which the caller says.
        reason = str(error).replace(repr(str(path)), "it") or type(error).__name__
        raise ImageFileError(f"must be a whole image file; got {shortened(reason, 80)}") from None
    return pixels if form.grey else pixels.transpose(2, 0, 1)


def _eight_bit(image: Image.Image, form: Form) -> Image.Image:
    """Of a mode that can be made smaller; what is transparent still is."""
    if image.mode == "F":
        raise ImageFileError("must hold whole numbers; got fractions, of no known range")
    if image.mode.startswith("I"):
        return Image.fromarray(_rounded(np.asarray(image)))
    return _converted(image, "RGBA" if image.has_transparency_data else form.mode)


def _opaque(image: Image.Image, form: Form) -> Image.Image:
    if image.mode == "RGBA":
        canvas = Image.new("RGBA", image.size, BACKGROUND)
        canvas.alpha_composite(image)
        image = canvas
    return _converted(image, form.mode)


def _converted(image: Image.Image, mode: str) -> Image.Image:
    """Without the copy that Pillow makes in any case: 360 MB of the largest image."""
    return image if image.mode == mode else image.convert(mode)


def _rounded(values: NDArray[Any]) -> NDArray[np.uint8]:
    """16 bits as 8, rounded.

    >>> _rounded(np.array([[0, 128, 129, 65535]])).tolist()
    [[0, 0, 1, 255]]
    """
    if values.min() < 0 or values.max() > 65_535:
        raise ImageFileError(
            f"must hold 8 or 16 bits a channel; got values from {values.min()} to {values.max()}"
        )
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _fitted(image: Image.Image, form: Form) -> Image.Image:
    size, filtered = (form.width, form.height), Image.Resampling.BILINEAR
    if form.fit == "pad":
        return ImageOps.pad(image, size, filtered, color=BACKGROUND)
    return ImageOps.fit(image, size, filtered)

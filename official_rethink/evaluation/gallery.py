"""Pictures of boxes: what the truth says, what a model finds, side by side, readable at any image size."""

import contextlib
import dataclasses
import functools
import io
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from official_rethink.common import errors
from official_rethink.evaluation import images as checks

SIDE = 480  # the longer side of a drawn image; small ones are enlarged to it, so that names can be read
SELECTIONS = ('most', 'least', 'median')

# Light colours that differ in hue and brightness: keras-cv draws them inside a black outline.
_COLORS = (
    (255, 221, 51),
    (64, 196, 255),
    (255, 110, 100),
    (120, 230, 110),
    (240, 130, 255),
    (255, 165, 40),
    (90, 240, 220),
    (255, 255, 255),
    (190, 170, 255),
    (205, 235, 60),
)
_PAPER, _INK = (255, 255, 255), (30, 30, 30)
_GAP = 8


@dataclasses.dataclass
class Boxes:
    """Boxes of one image to draw.

    Attributes:
        boxes: y1 x1 y2 x2 in pixels of the image as it was given [n, 4].
        classes: class ids [n].
        scores: [n], or None for truth.
    """

    boxes: Any
    classes: Any
    scores: Any | None = None


@functools.cache
def _keras_cv_draw() -> Any:
    """Imports keras-cv only where a picture is wanted: it takes seconds, and announces its backend."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        from keras_cv import visualization
    return visualization.draw_bounding_boxes


@functools.cache
def font(size: int) -> Any:
    """Returns a font of that many pixels, with most alphabets."""
    import matplotlib  # ships a font of most alphabets; class names need not be ASCII

    path = os.path.join(matplotlib.get_data_path(), 'fonts', 'ttf', 'DejaVuSans.ttf')
    return ImageFont.truetype(path, size)


def draw(
    images: Sequence[np.ndarray],
    boxes: Sequence[Any],
    classes: Sequence[Any],
    scores: Sequence[Any] | None = None,
    names: Mapping[int, str] | None = None,
    side: int = SIDE,
    max_boxes: int = 30,
) -> list[np.ndarray]:
    """Draws boxes, class names and scores.

    Args:
        images: uint8 RGB [H, W, 3], of any sizes.
        boxes: for each image y1 x1 y2 x2 in its pixels [n, 4].
        classes: for each image class ids [n].
        scores: for each image [n]; None: no scores, as for truth.
        names: class id to name; a class without a name shows its id.
        side: the longer side of the pictures, in pixels.
        max_boxes: only the best scored (or first) boxes of an image are drawn, to keep the rest visible.

    Returns:
        for each image a picture, uint8 RGB, its longer side `side`.
    """
    count = len(images)
    for what, values in (('boxes', boxes), ('classes', classes), ('scores', scores)):
        if values is not None and len(values) != count:
            raise errors.bad_value(f'number of {what} lists', len(values), f'{count}, one for each image')
    pictures = []
    for number, image in enumerate(images):
        where = f'picture {number}'
        score = np.zeros(len(boxes[number])) if scores is None else scores[number]
        found = checks.Detections(boxes[number], score, classes[number], where)
        shown = np.argsort(-found.scores, kind='stable')[:max_boxes][::-1]  # the best is drawn last, on top
        picture, scale = resized(image, side, where)
        marks = _Marks(found.boxes[shown] * scale, found.classes[shown], found.scores[shown], names or {})
        pictures.append(marks.on(picture, with_scores=scores is not None))
    return pictures


def resized(image: Any, side: int, where: str) -> tuple[np.ndarray, float]:
    """Brings uint8 RGB [H, W, 3] to a longer side of `side` pixels; returns it, and by how much it was scaled."""
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or 0 in array.shape:
        found = f'{array.dtype} {list(array.shape)}'
        raise errors.bad_value('image', found, 'uint8 RGB of shape [height, width, 3]', where)
    height, width = array.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    kind = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(array).resize(size, kind)), scale


@dataclasses.dataclass
class _Marks:
    """Boxes in the picture's pixels with what is written at them."""

    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    names: Mapping[int, str]

    def on(self, picture: np.ndarray, with_scores: bool) -> np.ndarray:
        """Returns the picture with rectangles by keras-cv, class by class in its colour, and name tags."""
        for label in np.unique(self.classes).tolist():
            mine = self.classes == label
            corners = self.boxes[mine][None, :, [1, 0, 3, 2]].astype(np.float32)
            drawn = _keras_cv_draw()(
                picture[None],
                {'boxes': corners, 'classes': self.classes[mine][None].astype(np.float32)},
                color=_color(label),
                bounding_box_format='xyxy',
                line_thickness=2,
            )
            picture = drawn[0].astype(np.uint8)
        canvas = Image.fromarray(picture)
        pen = ImageDraw.Draw(canvas)
        # keras-cv's own text runs out of the picture at its right edge and knows ASCII only.
        for box, label, score in zip(self.boxes, self.classes.tolist(), self.scores.tolist(), strict=True):
            name = self.names.get(label, str(label))
            _tag(pen, canvas.size, box, f'{name} {score:.2f}' if with_scores else name, _color(label))
        return np.asarray(canvas)


def _color(label: int) -> tuple[int, int, int]:
    return _COLORS[label % len(_COLORS)]


def _tag(pen: Any, size: tuple[int, int], box: np.ndarray, text: str, color: tuple[int, int, int]) -> None:
    """Writes black on a patch of the box's colour, above the box or inside it, within the picture."""
    written = font(max(11, max(size) // 34))
    left, top, right, bottom = pen.textbbox((0, 0), text, font=written)
    width, height = right - left + 6, bottom - top + 6
    x = max(0, min(int(box[1]) - 1, size[0] - width - 1))
    above = int(box[0]) - height
    y = max(0, min(above if above >= 0 else int(box[0]), size[1] - height - 1))
    pen.rectangle((x, y, x + width, y + height), fill=color, outline=(0, 0, 0))
    pen.text((x + 3 - left, y + 3 - top), text, font=written, fill=(0, 0, 0))


def grid(
    rows: Sequence[Sequence[np.ndarray]],
    column_titles: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
    title: str = '',
) -> bytes:
    """Puts pictures on one sheet.

    Args:
        rows: pictures, uint8 RGB, row by row; sizes and numbers may differ.
        column_titles: what stands above the columns.
        captions: what stands below each picture, as `rows`; '' for nothing.
        title: what stands above all.

    Returns:
        the sheet as PNG.
    """
    return png(sheet(rows, column_titles, captions, title))


def sheet(
    rows: Sequence[Sequence[np.ndarray]],
    column_titles: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
    title: str = '',
) -> np.ndarray:
    """Returns what `grid` encodes, uint8 RGB [H, W, 3]; the arguments are its."""
    if not any(len(row) for row in rows):
        raise errors.UserError('a gallery needs at least one picture; it got none.')
    if captions and [len(row) for row in captions] != [len(row) for row in rows]:
        counts = [len(row) for row in captions]
        raise errors.bad_value('number of captions', counts, 'one for each picture of each row')
    columns = max(len(row) for row in rows)
    widths = [max(row[place].shape[1] for row in rows if place < len(row)) for place in range(columns)]
    lefts = np.cumsum([_GAP] + [width + _GAP for width in widths]).tolist()
    text = max(14, max(widths) // 28)
    line = text + 10
    below = line * bool(captions)
    heights = [max((picture.shape[0] for picture in row), default=0) + below for row in rows]
    top = _GAP + line * bool(column_titles) + (line + text // 2) * bool(title)
    canvas = Image.new('RGB', (lefts[-1], top + sum(heights) + _GAP * len(rows)), _PAPER)
    pen = ImageDraw.Draw(canvas)
    if title:
        _write(pen, (_GAP, _GAP), title, text + text // 2, lefts[-1] - 2 * _GAP)
    for left, width, words in zip(lefts, widths, column_titles, strict=False):
        _write(pen, (left, top - line), words, text, width)
    for number, row in enumerate(rows):
        for place, picture in enumerate(row):
            canvas.paste(Image.fromarray(picture), (lefts[place], top))
            words = captions[number][place] if captions else ''
            _write(pen, (lefts[place], top + picture.shape[0] + 3), words, text, widths[place])
        top += heights[number] + _GAP
    return np.asarray(canvas)


def _write(pen: Any, place: tuple[int, int], words: str, size: int, width: int) -> None:
    """Writes one line, smaller where it is wider than its column, and cut where even that is too wide."""
    while size > 10 and pen.textlength(words, font=font(size)) > width:
        size -= 1
    while len(words) > 1 and pen.textlength(words, font=font(size)) > width:
        words = words[:-2] + '…'
    pen.text(place, words, font=font(size), fill=_INK)


def png(picture: np.ndarray) -> bytes:
    """Returns a uint8 RGB picture as PNG."""
    data = io.BytesIO()
    Image.fromarray(picture).save(data, 'PNG', optimize=True)
    return data.getvalue()


def side_by_side(
    images: Sequence[np.ndarray],
    columns: Mapping[str, Sequence[Boxes]],
    names: Mapping[int, str] | None = None,
    captions: Sequence[str] = (),
    side: int = SIDE,
    title: str = '',
) -> bytes:
    """Shows each image once in every column, such as truth, teacher and student, a row an image.

    Args:
        images: uint8 RGB [H, W, 3].
        columns: title to the boxes of each image.
        names: class id to name.
        captions: what stands below each row's first picture.
        side: the longer side of the pictures.
        title: what stands above all.

    Returns:
        the sheet as PNG.
    """
    drawn = []
    for found in columns.values():
        scored = bool(len(found)) and found[0].scores is not None
        scores = [one.scores for one in found] if scored else None
        boxes, classes = [one.boxes for one in found], [one.classes for one in found]
        drawn.append(draw(images, boxes, classes, scores, names, side))
    rows = [list(row) for row in zip(*drawn, strict=True)]
    below = [[caption] + [''] * (len(columns) - 1) for caption in captions]
    return grid(rows, list(columns), below, title)


def confidences(scores: Sequence[Any], floor: float = 0.0) -> np.ndarray:
    """Returns each image's confidence: the mean score of its boxes of at least `floor`, NaN without any."""
    arrays = [np.asarray(one, np.float64) for one in scores]
    kept = [array[checks.at_least(array, floor)] for array in arrays]
    return np.array([values.mean() if len(values) else np.nan for values in kept])


def select(confidence: Any, count: int) -> dict[str, list[int]]:
    """Chooses which images to look at.

    Args:
        confidence: a number an image, as `confidences` gives it; NaN: nothing found there, never chosen.
        count: how many images of each kind.

    Returns:
        'most', 'least' and 'median' to indices of images, the first the most so; an image may be of several
        kinds where there are few.
    """
    values = np.asarray(confidence, np.float64)
    order = np.argsort(values, kind='stable')[: int((~np.isnan(values)).sum())]  # NaN sorts last
    start = max(0, (len(order) - count) // 2)
    middle = order[start : start + count]
    distance = np.abs(values[middle] - np.median(values[order])) if len(order) else np.zeros(0)
    return {
        'most': order[::-1][:count].tolist(),
        'least': order[:count].tolist(),
        'median': middle[np.argsort(distance, kind='stable')].tolist(),
    }

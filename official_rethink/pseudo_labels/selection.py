"""Which images of a store of class labels a student reads, and how often: threshold and class balancing.

The store holds every image with the teacher's whole distribution; what is chosen here is chosen at the start of a
run, so a sweep over thresholds needs no second inference.
"""

import os
from collections.abc import Sequence

import numpy as np

from official_rethink.common import errors
from official_rethink.configs import classification as configs
from official_rethink.configs import validation_data
from official_rethink.data import shards
from official_rethink.pseudo_labels import store


def select(params: configs.PseudoData) -> dict[str, int]:
    """Reads a store's description and chooses; see `balanced`.

    Raises:
        UserError: it is no store of class labels, or nothing is over the threshold.
    """
    folder = os.path.dirname(validation_data.manifest_path(params))
    path = shards.description_path(folder, store.SPLIT)
    description = shards.load_description(path)
    if 'image_scores' not in description:
        raise errors.UserError(
            f"'{path}' describes pseudo labels of boxes, not of classes; name a store that a classifier has made."
        )
    labels = [categories[0] for categories in description['image_categories']]
    chosen = balanced(
        description['image_ids'],
        labels,
        description['image_scores'],
        params.score_threshold,
        params.images_per_class,
    )
    if not chosen:
        best = max(description['image_scores'], default=0.0)
        raise errors.UserError(
            f"no image in '{path}' has a confidence of task.pseudo_data.score_threshold {params.score_threshold} or "
            f'more; the most confident has {best:.4f}. Lower the threshold, or train the teacher longer.'
        )
    return chosen


def balanced(
    image_ids: Sequence[str],
    labels: Sequence[int],
    scores: Sequence[float],
    threshold: float,
    images_per_class: int | None = None,
) -> dict[str, int]:
    """How often each image is read in a pass.

    Of each class the `images_per_class` most confident images over the threshold are taken (Xie et al., 2020,
    'Self-training with Noisy Student'); where there are only n < images_per_class, all of them, as often as fits,
    and the most confident once more until the number is full. A class of which no image is over the threshold
    stays away. Of equal scores the image that comes first goes first.

    Args:
        image_ids: of all images.
        labels: class id of each.
        scores: the teacher's confidence in it.
        threshold: least score.
        images_per_class: None takes each image over the threshold once.

    Returns:
        Source id -> number of times, over 0.
    """
    # Scores are stored as float32: 0.7 lies a little under the 0.7 of a config.
    over = np.asarray(scores, np.float32) >= np.float32(threshold)
    if images_per_class is None:
        return {name: 1 for name, kept in zip(image_ids, over, strict=True) if kept}
    by_class: dict[int, list[tuple[float, int]]] = {}
    for place, (label, score) in enumerate(zip(labels, scores, strict=True)):
        if over[place]:
            by_class.setdefault(label, []).append((-score, place))
    copies: dict[int, int] = {}
    for ranked in by_class.values():
        taken = sorted(ranked)[:images_per_class]
        each, more = divmod(images_per_class, len(taken))
        copies.update({place: each + (rank < more) for rank, (_, place) in enumerate(taken)})
    return {image_ids[place]: copies[place] for place in sorted(copies)}


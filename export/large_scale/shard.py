"""One shard, the unit of work: read, labelled, written. What is in it does not depend on who does it, nor when."""

import dataclasses
import gc
import threading
import uuid
from typing import Any

from export.large_scale import beam, work
from official_rethink.common import errors
from official_rethink.data import problems, records
from official_rethink.pseudo_labels import feeding, filters, inference, labelling, store


@dataclasses.dataclass
class Images:
    """A shard's images.

    Attributes:
        shard: its number.
        made: each as a record, or what is wrong with it.
        failed: why the shard cannot be written; '' if it can.
    """

    shard: int
    made: list[problems.Made]
    failed: str = ''

    @property
    def wrong(self) -> list[problems.Problem]:
        """What is wrong with the images, in order."""
        return [problem for made in self.made for problem in made.problems]

    @property
    def good(self) -> list[records.Record]:
        """The images with which nothing is wrong, in order."""
        return [made.record for made in self.made if made.record is not None]


@dataclasses.dataclass
class Labels:
    """What the teacher found on the images that are records, in order; or why it found nothing."""

    kept: list[filters.Kept]
    failed: str = ''


class Teacher:
    """A teacher that is loaded and traced; threads take turns."""

    def __init__(self, labeller: labelling.Labeller):
        """Args: how images are labelled."""
        self._reading = labeller.reading
        self._detector: inference.Detector | None = inference.Detector(
            labeller.predict, labeller.reading, labeller.batch_size, labeller.strategy
        )
        self._lock = threading.Lock()

    def label(self, images: Images, stops: bool) -> Labels:
        """Labels a shard in the batches that a single machine forms, for these never span two shards.

        Args:
            images: the shard's.
            stops: whether an image that cannot be read keeps the shard from being written.
        """
        labels = Labels([])
        if images.failed or (stops and images.wrong):
            return labels
        detector, found = self._detector, images.good
        assert detector is not None
        items = (feeding.Item(images.shard, record) for record in found)
        try:
            with self._lock:
                for item, answer in detector.detect(items):
                    beam.check_signals()
                    assert item.record is not None
                    labels.kept.append(self._reading.keep(answer, item.record))
        except errors.UserError as error:
            labels.failed = str(error)
        assert labels.failed or len(labels.kept) == len(found)
        return labels

    def forget(self) -> None:
        """Lets go of the network, if it is not at work; nothing can be labelled any more."""
        if not self._lock.acquire(blocking=False):  # a worker that ends in the middle of a shard
            return
        try:
            self._detector = None
            work.forget_teacher()
            gc.collect()
        finally:
            self._lock.release()


def read(line: str) -> Images:
    """Reads the images that a line of the list names."""
    shard, part = work.read_line(line)
    images = Images(shard, [])
    try:
        images.made += part.read()
    except errors.UserError as error:
        images.failed = str(error)
    return images


def write(place: store.Store, images: Images, labels: Labels, stops: bool) -> dict[str, int]:
    """Writes a shard, or notes why it cannot be; its name appears when it is whole.

    Two workers may write the same one at the same time, as after a lost connection: they write the same bytes.

    Returns:
        What is to be counted.
    """
    found, failed = images.wrong, images.failed or labels.failed
    if failed or (found and stops):
        work.write_failure(place, images.shard, found, failed)
        return {'failed_shards': 1}
    with place.write_shard(images.shard, f'.{uuid.uuid4().hex[:8]}') as writer:
        for record, kept in zip(images.good, labels.kept, strict=True):
            writer.add(record, kept)
        writer.skipped += found
    counted: dict[str, Any] = {'shards': 1, 'images': len(images.good), 'dead_letters': len(found)}
    return counted | {'labels': sum(kept.num_labels() for kept in labels.kept)}

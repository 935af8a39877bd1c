"""The pipeline: a list of shards, each read, labelled by the teacher and written by one worker.

    work.jsonl -> Reshuffle -> read -> RunInference -> write

After the list nothing is shuffled: a shard never leaves its worker, and no image goes over the network twice.
"""

import atexit
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from export.large_scale import beam, shard, work
from official_rethink.common import entry_point

NAMESPACE = 'label_at_scale'
_COUNTED = ('shards', 'images', 'labels', 'dead_letters', 'failed_shards')


class Read(beam.DoFn):  # type: ignore[misc]
    """A line of the list to the shard's images, as a batch of one."""

    def setup(self) -> None:
        """Silences what TensorFlow says about itself."""
        entry_point.quieten()

    def process(self, line: str) -> Iterator[list[shard.Images]]:
        """Reads."""
        yield [shard.read(line)]


class TeacherHandler(beam.ModelHandler):  # type: ignore[misc]
    """How RunInference loads and asks the teacher."""

    def __init__(self, settings: work.Settings):
        """Args: the work."""
        super().__init__()
        self._settings = settings

    def load_model(self) -> shard.Teacher:
        """Builds the teacher; threads of a process share it."""
        entry_point.quieten()
        teacher = shard.Teacher(self._settings.build()[0])
        # Beam would keep it to the very end of the process, when TensorFlow can no longer clear it away in silence.
        atexit.register(teacher.forget)
        return teacher

    def run_inference(
        self, batch: Sequence[shard.Images], model: shard.Teacher, inference_args: dict[str, Any] | None = None
    ) -> Iterable[Any]:
        """Labels the shards of a batch."""
        from apache_beam.ml.inference import base  # noqa: PLC0415

        del inference_args
        return [base.PredictionResult(images, model.label(images, self._settings.stops)) for images in batch]

    def should_skip_batching(self) -> bool:
        """A shard is a batch already; one that Beam forms would depend on its company."""
        return True

    def get_num_bytes(self, batch: Sequence[shard.Images]) -> int:
        """For the metrics: the encoded images, which need not be pickled for that."""
        return sum(len(record.encoded) for images in batch for record in images.good)

    def get_metrics_namespace(self) -> str:
        """See `NAMESPACE`."""
        return NAMESPACE


class Write(beam.DoFn):  # type: ignore[misc]
    """A labelled shard to the store; gives its number once it is written."""

    def __init__(self, settings: work.Settings):
        """Args: the work."""
        super().__init__()
        self._settings = settings

    def setup(self) -> None:
        """Finds the store, and makes the counters."""
        from apache_beam import metrics  # noqa: PLC0415

        entry_point.quieten()
        self._store = self._settings.store()
        self._counters = {name: metrics.Metrics.counter(NAMESPACE, name) for name in _COUNTED}

    def process(self, result: Any) -> Iterator[int]:
        """Writes."""
        counted = shard.write(self._store, result.example, result.inference, self._settings.stops)
        for name, count in counted.items():
            self._counters[name].inc(count)
        if 'shards' in counted:
            yield result.example.shard


def run(settings: work.Settings, path: str, options: Any) -> str:
    """Runs the pipeline to its end.

    Args:
        settings: the work.
        path: of the list of shards.
        options: Beam's PipelineOptions.

    Returns:
        The state it ended in, such as 'DONE'.
    """
    import apache_beam  # noqa: PLC0415
    from apache_beam.ml.inference import base  # noqa: PLC0415

    pipeline = apache_beam.Pipeline(options=options)
    (
        pipeline
        | 'List' >> apache_beam.io.ReadFromText(path)
        | 'Spread' >> apache_beam.Reshuffle()
        | 'Read' >> apache_beam.ParDo(Read())
        | 'Label' >> base.RunInference(TeacherHandler(settings))
        | 'Write' >> apache_beam.ParDo(Write(settings))
    )
    return beam.run(pipeline)

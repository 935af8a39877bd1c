"""A task that holds another and changes how it is trained; evaluated, restored and served as the held one."""

from typing import Any, ClassVar

import tensorflow as tf
from official.core import base_task

from official_rethink.tasks import train_step


class HoldingTask(base_task.Task):
    """Holds a task of any family and answers for it.

    Attributes:
        base: the held task.
    """

    base_task_class: ClassVar[type[base_task.Task]]

    def __init__(self, params: Any, logging_dir: str | None = None, name: str | None = None):
        """Args: as Model Garden's task."""
        super().__init__(params, logging_dir=logging_dir, name=name)
        self.base: Any = self.base_task_class(params, logging_dir=logging_dir, name=name)

    @property
    def resume_step(self) -> int:
        """Steps a resumed run has behind it."""
        return self.base.resume_step

    @resume_step.setter
    def resume_step(self, value: int) -> None:
        self.base.resume_step = value

    @property
    def categories(self) -> dict[int, str] | None:
        """Class id to name."""
        return self.base.categories

    @categories.setter
    def categories(self, value: dict[int, str] | None) -> None:
        self.base.categories = value

    @property
    def detection_listener(self) -> Any:
        """Called at evaluation with each image's detections."""
        return self.base.detection_listener

    @detection_listener.setter
    def detection_listener(self, value: Any) -> None:
        self.base.detection_listener = value

    @property
    def label_map_listener(self) -> Any:
        """Called at evaluation with each image's classes."""
        return self.base.label_map_listener

    @label_map_listener.setter
    def label_map_listener(self, value: Any) -> None:
        self.base.label_map_listener = value

    @property
    def pseudo_presence(self) -> Any:
        """Of the base task."""
        return self.base.pseudo_presence

    @property
    def switch_steps(self) -> tuple[int, ...]:
        """Of the base task."""
        return getattr(self.base, 'switch_steps', ())

    @property
    def output_size(self) -> tuple[int, int]:
        """The network's input height and width."""
        return self.base.output_size

    def preprocess(self, images: tf.Tensor) -> tf.Tensor:
        """As the base task."""
        return self.base.preprocess(images)

    def predict(self, *inputs: Any) -> Any:
        """As the base task."""
        return self.base.predict(*inputs)

    def infer(self, *inputs: Any) -> Any:
        """As the base task."""
        return self.base.infer(*inputs)

    def predict_maps(self, *inputs: Any, **options: Any) -> Any:
        """As the base task."""
        return self.base.predict_maps(*inputs, **options)

    def dense_views(self, *inputs: Any, **options: Any) -> Any:
        """As the base task."""
        return self.base.dense_views(*inputs, **options)

    def train_step(
        self, inputs: Any, model: tf.keras.Model, optimizer: Any, metrics: Any = None
    ) -> dict[str, tf.Tensor]:
        """Runs one step on this task's own losses."""
        return train_step.run(self, inputs, model, optimizer, metrics)

    def validation_step(self, inputs: Any, model: tf.keras.Model, metrics: Any = None) -> dict[str, Any]:
        """As the base task."""
        return self.base.validation_step(inputs, model, metrics)

    def aggregate_logs(self, state: Any = None, step_outputs: Any = None) -> Any:
        """As the base task."""
        return self.base.aggregate_logs(state, step_outputs)

    def reduce_aggregated_logs(self, aggregated_logs: Any, global_step: Any = None) -> dict[str, float]:
        """As the base task."""
        return self.base.reduce_aggregated_logs(aggregated_logs, global_step)

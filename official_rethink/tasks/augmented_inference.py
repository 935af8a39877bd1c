"""Test-time augmentation of detectors: every view gives boxes, all are suppressed together, and looked at once more.

Detectron's order: boxes of all views, one suppression over them, box voting; then masks and key points of the boxes
that are left, predicted again in every view and averaged. One view is worked on after the other, and no view's
features are kept for the second look, so that memory is that of the largest view.
"""

from typing import Any

import tensorflow as tf

from official_rethink.modeling import looks, union, views


def detect(task: Any, images: tf.Tensor, image_info: tf.Tensor, model: tf.keras.Model) -> dict[str, tf.Tensor]:
    """Detects in all the views of `task.inference`; the model takes images of any size from then on.

    Args:
        task: `tasks.detection.DetectionTask`, whose `candidates` look at one view and whose `looks_twice` says whether
            final boxes have masks or key points.
        images: uint8 [B, S, S, 3], read by `views.reading`.
        image_info: float32 [B, 4, 2], of the reading.
        model: in inference mode.

    Returns:
        As the task's `predict`, without raw outputs.
    """
    looks.take_any_size(model)
    known = views.of(task.task_config)
    # A function is traced once for each size, and so serves a view and its mirror image.
    candidates = tf.function(lambda seen, info: task.candidates(seen, info, model), autograph=False)
    before, gathered = tf.zeros([]), []
    for view in known:
        seen, info = views.read(view, _after(before, images), image_info)
        found = candidates(seen, info)
        gathered.append(found._replace(boxes=views.to_original(view, found.boxes, info)))
        before = tf.reduce_sum(found.scores)
    together = union.Candidates(*(tf.concat(parts, axis=1) for parts in zip(*gathered, strict=True)))
    detections = union.merge(together, rules(task.task_config))
    if not task.looks_twice:
        return detections
    return {**detections, **_second_look(task, images, image_info, model, detections)}


def rules(config: Any) -> union.Rules:
    """What a task's config leaves of candidates."""
    generator, inference = config.model.detection_generator, config.inference
    sigma = inference.soft_nms_sigma
    return union.Rules(
        config.model.num_classes,
        generator.max_num_detections,
        generator.pre_nms_score_threshold,
        generator.nms_iou_threshold,
        float((generator.soft_nms_sigma or 0.0) if sigma is None else sigma),
        inference.box_voting_threshold,
    )


def _after(before: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """The value, once `before` is known: a graph would work on all views at once."""
    with tf.control_dependencies([before]):
        return tf.identity(value)


def _second_look(
    task: Any, images: tf.Tensor, image_info: tf.Tensor, model: tf.keras.Model, detections: dict[str, tf.Tensor]
) -> dict[str, tf.Tensor]:
    """Masks and key points of boxes, averaged over the views."""
    look = tf.function(
        lambda seen, boxes, classes: looks.regions(model, task.preprocess(seen), boxes, classes), autograph=False
    )
    known = views.of(task.task_config)
    before, total = tf.reduce_sum(detections['scores']), None
    for view in known:
        seen, info = views.read(view, _after(before, images), image_info)
        found = look(seen, views.to_view(view, detections['boxes'], info), detections['classes'])
        if view.mirrored:
            found = looks.turned_back(found, task.flip_order())
        total = found if total is None else {name: total[name] + values for name, values in found.items()}
        before = tf.add_n([tf.reduce_sum(values) for values in found.values()])
    assert total is not None
    averaged = {name: values / len(known) for name, values in total.items()}
    if looks.MAPS in averaged:
        averaged['keypoints'] = looks.points(averaged.pop(looks.MAPS), detections['boxes'])
    return averaged

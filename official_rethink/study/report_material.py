"""What the report shows beside the record: curves, pseudo-label quality, pictures."""

import base64
import dataclasses
import glob
import io
import os
from typing import Any

from official_rethink.common import files
from official_rethink.study import outputs, report_pictures
from official_rethink.study.plan import ArmRun, Plan

_GALLERY_WIDTH = 1400


@dataclasses.dataclass
class Material:
    """See the module.

    Attributes:
        curves: training step's name -> (step, validation AP).
        quality: of the first seed's pseudo labels, as the evaluation writes it; None without truth.
        galleries: (data URI, words) of pictures with pseudo labels.
        triples: rows of (name, data URI, words): truth, teacher, student on one image.
        shown_score: boxes under this score are not drawn in the triples.
    """

    curves: dict[str, list[tuple[int, float]]]
    quality: dict[str, Any] | None = None
    galleries: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    triples: list[list[tuple[str, str, str]]] = dataclasses.field(default_factory=list)
    shown_score: float = 0.0


def gather(results: dict[str, Any], plan: Plan, out: str) -> Material:
    """Reads what the finished steps of a study left."""
    trained = {name for run in plan.runs for name in run.stages.values() if plan.steps[name].trains}
    material = Material({name: outputs.curve(plan.steps[name], out) for name in trained})
    first = next((run for run in plan.runs if run.arm.self_training), None)
    if first is not None:
        folder = plan.steps[first.stages['label']].folder(out)
        quality = os.path.join(folder, 'quality.json')
        if os.path.exists(quality):
            material.quality = files.read_json(quality)
        material.galleries = _galleries(folder)
        material.shown_score = first.arm.score_threshold
        material.triples = _triples(plan, first, out)
    return material


def _galleries(folder: str) -> list[tuple[str, str]]:
    found = []
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), 'gallery*.png'))):
        rest = os.path.splitext(os.path.basename(path))[0].removeprefix('gallery').strip('_-')
        kind = f': {rest.replace("_", " ")}' if rest else ': the most, least and median confident'
        found.append((embed(path), f'Unlabelled images with the boxes the teacher drew{kind}.'))
    return found


def _triples(plan: Plan, run: ArmRun, out: str) -> list[list[tuple[str, str, str]]]:
    test = plan.data.test.replace('{out}', out)
    detections = {}
    for kind in ('teacher', 'student'):
        path = os.path.join(plan.steps[run.stages[kind]].folder(out), 'test_detections.json')
        if not os.path.exists(path):
            return []
        detections[kind] = files.read_json(path)
    rows = report_pictures.side_by_side(test, detections, run.arm.score_threshold)
    return [[(name, data_uri(picture), words) for name, picture, words in row] for row in rows]


def embed(path: str) -> str:
    """A picture file as a data URI, scaled down where a page could not show it any larger."""
    from PIL import Image  # noqa: PLC0415

    with Image.open(path) as opened:
        return data_uri(opened.convert('RGB'))


def data_uri(picture: Any) -> str:
    """A PIL picture as a JPEG data URI."""
    if picture.width > _GALLERY_WIDTH:
        picture = picture.resize((_GALLERY_WIDTH, round(picture.height * _GALLERY_WIDTH / picture.width)))
    stream = io.BytesIO()
    picture.save(stream, 'JPEG', quality=85, optimize=True)
    return 'data:image/jpeg;base64,' + base64.b64encode(stream.getvalue()).decode()

"""What the report shows beside the record: curves, how good the pseudo labels are, pictures."""

import base64
import dataclasses
import glob
import io
import os
from typing import Any

from official_rethink.common import files
from official_rethink.configs import study_kinds
from official_rethink.study import outputs, report_pictures
from official_rethink.study.plan import ArmRun, Plan

_GALLERY_WIDTH = 1400


@dataclasses.dataclass
class Part:
    """What the first self-training arm of a network left, with the first seed.

    Attributes:
        network: its name; '' in a study without networks.
        threshold: the arm's: what scores less is not learnt.
        quality: of its pseudo labels, as the evaluation writes it; None without truth.
        coverage: of label maps, a row for each threshold: 'score_threshold', 'coverage', and with truth
            'pixel_accuracy' and 'mIoU' of the kept pixels.
        kept: of label maps, the share of all pixels that the arm's threshold keeps; None if it was not counted.
        class_shares: of label maps, class name -> share of all pixels.
        galleries: (data URI, words) of pictures with pseudo labels.
        triples: rows of (name, data URI, words): truth, teacher, student on one image.
    """

    network: str
    threshold: float
    quality: dict[str, Any] | None = None
    coverage: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    kept: float | None = None
    class_shares: dict[str, float] = dataclasses.field(default_factory=dict)
    galleries: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    triples: list[list[tuple[str, str, str]]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Material:
    """See the module.

    Attributes:
        curves: training step's name -> (step, validation metric).
        parts: one for each network of which an arm self-trains.
        legend: (class name, colour) of the label maps in the pictures.
    """

    curves: dict[str, list[tuple[int, float]]]
    parts: list[Part] = dataclasses.field(default_factory=list)
    legend: list[tuple[str, str]] = dataclasses.field(default_factory=list)


def gather(plan: Plan, out: str) -> Material:
    """Reads what the finished steps of a study left."""
    trained = {name for run in plan.runs for name in run.stages.values() if plan.steps[name].trains}
    material = Material({name: outputs.curve(plan.steps[name], out) for name in trained})
    firsts: dict[str, ArmRun] = {}
    for run in plan.runs:
        if run.arm.self_training:
            firsts.setdefault(run.arm.network, run)
    material.parts = [_part(plan, run, out) for run in firsts.values()]
    if firsts and not plan.kind.boxes:
        material.legend = report_pictures.legend(plan.data.test.replace('{out}', out))
    return material


def _part(plan: Plan, run: ArmRun, out: str) -> Part:
    step = plan.steps[run.stages['label']]
    folder = step.folder(out)
    part = Part(run.arm.network, run.arm.score_threshold, galleries=_galleries(folder, plan.kind))
    quality = os.path.join(folder, 'quality.json')
    if os.path.exists(quality):
        part.quality = files.read_json(quality)
    if not plan.kind.boxes:
        found = outputs.manifest(step, out)
        part.coverage = outputs.coverage(found, part.quality)
        part.kept = outputs.kept_share(found, part.threshold)
        part.class_shares = outputs.class_shares(found)
    part.triples = _triples(plan, run, out)
    return part


def _galleries(folder: str, kind: study_kinds.Kind) -> list[tuple[str, str]]:
    found = []
    drawn = 'the boxes the teacher drew' if kind.boxes else "the teacher's label maps"
    ranked = 'confident' if kind.boxes else 'covered'
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), 'gallery*.png'))):
        rest = os.path.splitext(os.path.basename(path))[0].removeprefix('gallery').strip('_-')
        sort = f': {rest.replace("_", " ")}' if rest else f': the most, least and median {ranked}'
        found.append((embed(path), f'Unlabelled images with {drawn}{sort}.'))
    return found


def _triples(plan: Plan, run: ArmRun, out: str) -> list[list[tuple[str, str, str]]]:
    test = plan.data.test.replace('{out}', out)
    folders = {kind: plan.steps[run.stages[kind]].folder(out) for kind in ('teacher', 'student')}
    if plan.kind.boxes:
        rows = report_pictures.side_by_side(test, folders, run.arm.score_threshold)
    else:
        rows = report_pictures.label_maps_side_by_side(test, folders)
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

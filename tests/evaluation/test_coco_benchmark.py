"""The benchmark of the evaluator runs, and measures the same numbers on both sides."""

import pytest

from benchmarks import coco_evaluation
from official_rethink.common import errors


def test_both_sides_agree() -> None:
    found = coco_evaluation.run(5)
    assert found['max_difference'] < 1e-9
    assert found['ours_seconds'] > 0 and found['reference_seconds'] > 0
    assert found['ratio'] == pytest.approx(found['reference_seconds'] / found['ours_seconds'])
    metrics = coco_evaluation.ours(coco_evaluation.make_images(5))
    assert 0.05 < metrics[0] < 0.95  # neither nothing nor everything is found


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert coco_evaluation.main(['--images=3']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert '3 images x 100 detections' in lines[0]
    assert [line.split()[0] for line in lines[1:]] == ['ours', 'pycocotools', 'ratio']
    with pytest.raises(errors.UserError, match='--images is 0'):
        coco_evaluation.main(['--images=0'])

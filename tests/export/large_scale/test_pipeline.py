"""The command through Beam's local runner, with a real network. It needs Apache Beam."""

import json
import pathlib

import pytest

from export import label_at_scale
from export.large_scale import work
from official_rethink import pseudo_label
from tests.export.large_scale.marks import needs_beam
from tools import broken_images, compare_stores, label_twice

pytestmark = [needs_beam, pytest.mark.slow]
NUM_IMAGES, NUM_BROKEN, SHARD_SIZE = 40, 6, 4


def test_killed_and_started_again_it_leaves_what_the_plain_command_leaves(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed by SIGKILL while it was to stop at broken images, whose shards it left; then told to leave these out."""
    label_twice.make_teacher(str(tmp_path))
    pattern = broken_images.write(str(tmp_path / 'images'), (13, 0, 1, 26), NUM_BROKEN)
    plain, ours = (
        [*label_twice.arguments(str(tmp_path), pattern, str(tmp_path / name), SHARD_SIZE), '--gallery_images=0']
        for name in 'ab'
    )
    process = label_twice.start(label_twice.PIPELINE, [*ours, '--on_error=stop'], str(tmp_path / 'log'))
    try:
        assert pseudo_label.main(plain) == 0
    finally:
        killed = label_twice.kill_at(process, str(tmp_path / 'b'), 2)
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / 'b').glob('pseudo-*.tfrecord')}
    assert 2 <= len(written) == killed < NUM_IMAGES / SHARD_SIZE
    assert label_at_scale.main([*ours, '--', '--runner=DirectRunner']) == 0
    printed = capsys.readouterr().err
    assert f'{NUM_BROKEN} dead letters (' in printed and ' are done already' in printed
    assert {path: path.stat().st_mtime_ns for path in written} == written
    found, counted = compare_stores.compare(str(tmp_path / 'a'), str(tmp_path / 'b'))
    assert found == []
    assert (counted['shards'], counted['records']) == (NUM_IMAGES / SHARD_SIZE, NUM_IMAGES - NUM_BROKEN)
    letters = [json.loads(line) for line in (tmp_path / 'b' / work.DEAD_LETTERS).read_text().splitlines()]
    skipped = [json.loads(line) for line in (tmp_path / 'a' / 'pseudo-skipped.jsonl').read_text().splitlines()]
    assert [(one['source'], one['id'], one['kind'], one['reason']) for one in letters] == [
        (one['file'], one['record'], one['kind'], one['message']) for one in skipped
    ]
    for letter in letters:
        assert letter['shard'] == int(letter['id'].removeprefix('record ')) // SHARD_SIZE
    assert label_at_scale.main(ours) == 0
    assert 'nothing to do' in capsys.readouterr().err

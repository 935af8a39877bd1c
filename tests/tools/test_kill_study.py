"""The killing tool, on a stand-in for `make study` that takes a second and resumes."""

import subprocess
import sys

import pytest

from official_rethink.common import errors
from tools import kill_study

# Ten steps of 0.05 s, each leaving a done.json; the record is a function of the steps, or of the starts.
_STUDY = """
import json, pathlib, sys, time
out, honest = pathlib.Path(sys.argv[1]), sys.argv[2] == 'honest'
out.mkdir(parents=True, exist_ok=True)
starts = out / 'starts'
starts.write_text((starts.read_text() if starts.exists() else '') + 'x')
for step in range(10):
    done = out / str(step) / 'done.json'
    if not done.exists():
        time.sleep(0.05)
        done.parent.mkdir(exist_ok=True)
        done.write_text('{}')
value = 1.0 if honest else len(starts.read_text())
(out / 'results.json').write_text(json.dumps({'mean': value, 'seconds': time.time()}))
"""


def _stand_in(kind):
    def make_study(output_dir, log):
        return subprocess.Popen([sys.executable, '-c', _STUDY, output_dir, kind], start_new_session=True)

    return make_study


def test_a_resumed_study_with_the_same_record_passes(tmp_path, monkeypatch):
    monkeypatch.setattr(kill_study, 'make_study', _stand_in('honest'))
    equal, text = kill_study.one_round(str(tmp_path / 'a'), 0.3, False, {'mean': 1.0})
    assert equal and text.startswith('killed everything after ') and text.endswith('record equal')
    assert kill_study.steps_done(str(tmp_path / 'a')) == 10
    assert (tmp_path / 'a' / 'starts').read_text() == 'xx'


def test_a_study_that_does_not_resume_alike_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(kill_study, 'make_study', _stand_in('forgetful'))
    equal, text = kill_study.one_round(str(tmp_path / 'a'), 0.3, False, {'mean': 1.0})
    assert not equal and text.endswith('record DIFFERS')
    assert kill_study.main([f'--output_dir={tmp_path}/b', '--kills=1']) == 1


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / 'mine').write_text('precious')
    with pytest.raises(errors.UserError, match='a new or empty folder'):
        kill_study.main([f'--output_dir={tmp_path}'])
    assert (tmp_path / 'mine').read_text() == 'precious'

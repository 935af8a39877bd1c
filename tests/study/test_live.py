"""What the terminal and a log file show."""

import io

from official_rethink.study import live, runner
from tests.study import fake


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def _run(tmp_path, stream, commands):
    plan = fake.make_plan(fake.load(tmp_path))
    out = str(tmp_path / 'out')
    screen = live.Screen('small', plan, out, stream)
    runner.Runner(plan, out, [commands], screen=screen).run()
    return plan, screen


def test_a_log_file_gets_one_line_a_finished_step(tmp_path):
    stream = io.StringIO()
    plan, _ = _run(tmp_path, stream, fake.Commands())
    lines = stream.getvalue().splitlines()
    assert len(lines) == len(plan.steps)
    assert lines[0] == '[1/14] data/labelled: 20 images in 0s'
    assert lines[4].startswith('[5/14] training/supervised-random-S1-labels1.0-seed0: 80 steps in 0s, AP ')
    assert '\x1b' not in stream.getvalue()
    again = io.StringIO()
    _run(tmp_path, again, fake.Commands())
    assert all(line.endswith(': done before') for line in again.getvalue().splitlines())


def test_the_table_shows_arms_seeds_progress_and_time_left(tmp_path):
    plan = fake.make_plan(fake.load(tmp_path))
    out = str(tmp_path / 'out')
    screen = live.Screen('small', plan, out, _Terminal())
    seen = {}

    def watch(step, event):
        screen(step, event)
        seen[step.name, event] = screen.text()

    runner.Runner(plan, out, [fake.Commands()], screen=watch).run()
    first = seen['data/labelled', 'running'].splitlines()
    assert first[0].startswith('small: 0 of 14 steps') and 'unknown until a first step' in first[0]
    assert first[1].split() == ['arm', 'seed', '0', 'seed', '1']
    assert first[2].split() == ['supervised', 'waiting', 'waiting']
    teacher = seen['training/teacher-random-S1-labels1.0-seed0', 'running']
    assert 'self_training  teacher: 0/40' in teacher and 'strict         teacher: 0/40' in teacher
    last = list(seen.values())[-1]
    assert last.splitlines()[0].endswith('left: 0s')
    assert last.count(' AP') == 6


def test_the_table_is_redrawn_in_place(tmp_path):
    stream = _Terminal()
    _run(tmp_path, stream, fake.Commands())
    assert stream.getvalue().count('\x1b[J') >= 14
    assert '\x1b[4A' in stream.getvalue() or '\x1b[5A' in stream.getvalue()

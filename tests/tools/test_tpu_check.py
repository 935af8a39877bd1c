"""`make tpu-check`: what it accepts, what it counts, and how it reads what compilers say."""

import pathlib
import subprocess

import pytest

from official_rethink.common import errors
from official_rethink.configs import parse
from tools import source_tree
from tools.tpu_check import __main__ as command
from tools.tpu_check import lower, report, steps

GIB = 2**30
LOWERED = {'host_only': [], 'batch': 2, 'seconds': 3.0, 'places': {'model/nms/Where': 'official_rethink/a.py:7'}}
COMPILED = {
    'argument_bytes': 5 * GIB,
    'output_bytes': 3 * GIB,
    'alias_bytes': 2 * GIB,
    'temp_bytes': 9 * GIB,
    'code_bytes': GIB // 2,
    'flops': 4e12,
    'seconds': 60.0,
}


def outcome(lowered=None, **compiled):
    return {
        'step': 'maskrcnn',
        'precision': 'float32',
        'slice': 'v5e:2x4',
        'lowered': {**LOWERED, **(lowered or {})},
        'compiled': compiled or COMPILED,
    }


def test_memory_of_a_core():
    """5 in, 3 out of which 2 overwrite what went in, 9 between, half a GiB of program: 15.5 of 16."""
    assert report.needed_bytes(COMPILED) == 15.5 * GIB
    assert report.passed(outcome())
    greater = outcome(**{**COMPILED, 'temp_bytes': 10 * GIB})
    assert not report.passed(greater)
    assert report.problems(greater) == ['needs 16.50 GiB of 16.00 GiB']


def test_table():
    head, row = report.table([outcome()]).splitlines()
    assert head.split()[:3] == ['step', 'precision', 'slice']
    assert row.split() == ['maskrcnn', 'float32', 'v5e:2x4', '2', '5.00', '3.00', '2.00', '9.00', '0.50', '15.50',
                           'yes', '4000', '3', '60']  # fmt: skip
    failed = report.table([outcome(error='no')]).splitlines()[1]
    assert failed.split()[-4:] == ['no', '-', '3', '-']


def test_what_has_no_lowering_is_named_with_its_place():
    text = (
        "Failed getting HLO text: 'Detected unsupported operations when trying to compile graph f[] on XLA_CPU_JIT: "
        "Where (No registered 'Where' OpKernel for XLA_CPU_JIT devices compatible with node {{node model/nms/Where}}"
        '){{node model/nms/Where}}\nThe op is created at: ...'
    )
    found = report.problems({**outcome({'error': text}), 'compiled': None})
    assert found == ["not lowered: Where 'model/nms/Where', official_rethink/a.py:7"]
    assert not report.passed({**outcome({'error': text}), 'compiled': None})


def test_what_does_not_fit_is_named_with_its_place():
    text = (
        'RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 20.1G of 15.75G hbm.\n\n'
        '  1. Size: 2.00G\n     Operator: op_name="jit(f)/StatefulPartitionedCall/model/nms/Where"\n'
    )
    found = report.problems(outcome(error=text))
    assert found[0].startswith('not compiled: RESOURCE_EXHAUSTED: Ran out of memory')
    assert found[1].endswith("model/nms/Where', official_rethink/a.py:7")


def test_the_host_s_operations_fail_a_step():
    found = {'type': 'DecodeJpeg', 'name': 'read/DecodeJpeg', 'place': 'official_rethink/b.py:3'}
    bad = outcome({'host_only': [found]})
    assert not report.passed(bad)
    assert report.problems(bad) == ["host only: DecodeJpeg 'read/DecodeJpeg', official_rethink/b.py:3"]


@pytest.mark.parametrize(
    ('flags', 'words'),
    [
        (['--steps=maskrcn'], ['maskrcn', 'maskrcnn']),
        (['--steps=,'], ['--steps']),
        (['--precisions=float23'], ['float23', 'float32']),
        (['--slice=v5e:1x1'], ['v5e:1x1', 'two chips']),
        (['--slice=v4:2x2'], ['v4:2x2']),
        (['--tpu_python=nowhere/python'], ['nowhere/python', 'make tpu-check']),
        (['--step=maskrcnn'], ['--steps']),
    ],
)
def test_bad_flags_are_refused_before_anything_starts(flags, words, monkeypatch):
    monkeypatch.setattr(subprocess, 'run', None)
    with pytest.raises(errors.UserError) as raised:
        command.main(flags)
    for word in words:
        assert word in str(raised.value)


def test_every_step_names_what_there_is():
    """Experiments, files, whole shares of the batch; each of the four kinds of step is among them."""
    for step in steps.STEPS:
        assert step.experiment in parse.experiments()
        params = lower.load(step, 'bfloat16')
        assert params.runtime.mixed_precision_dtype == 'bfloat16'
        parts = ['validation_data'] if step.mode != steps.TRAIN else ['train_data', 'pseudo_data']
        for data in (getattr(params.task, part) for part in parts if hasattr(params.task, part)):
            assert data.global_batch_size % step.cores == 0, step.name
    assert len({step.name for step in steps.STEPS}) == len(steps.STEPS)
    told = {'maskrcnn', 'retinanet', 'segmentation', 'self_training'}
    assert told <= {step.name for step in steps.STEPS}


def test_results_are_kept_until_the_code_changes(tmp_path, monkeypatch):
    """A second call does neither half again; a step of another slice, or changed code, does."""
    calls = []

    def run(command_line, path):
        calls.append(command_line[1])
        if '-m' in command_line:
            pathlib.Path(tmp_path / 'maskrcnn_float32.hlo').write_bytes(b'')
            return dict(LOWERED)
        return dict(COMPILED)

    monkeypatch.setattr(command, '_run', run)
    (tmp_path / 'python').touch()
    flags = ['--steps=maskrcnn', '--precisions=float32', f'--output={tmp_path}', f'--tpu_python={tmp_path}/python']
    assert command.main(flags) == 0 and len(calls) == 2
    assert command.main(flags) == 0 and len(calls) == 2
    assert command.main([*flags, '--slice=v5e:2x2']) == 0 and len(calls) == 4
    monkeypatch.setattr(command.steps, 'code_of', lambda source: 'other')
    assert command.main(flags) == 0 and len(calls) == 6


def test_what_decides_a_step_is_known():
    """The key's modules hold the tasks and losses, and no report."""
    found = set(command._sources())
    assert {'official_rethink/losses/detection.py', 'official_rethink/tasks/simclr.py'} <= found
    assert 'official_rethink/study/report.py' not in found
    assert found <= set(source_tree.modules().values())

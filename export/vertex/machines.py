"""Machine types and what can be attached to them, as Vertex AI's custom training takes them."""

import re
from collections.abc import Mapping
from typing import Any

from export.vertex import api_types
from official_rethink.common import errors

# GPUs are part of these: machine type -> accelerator and how many.
_WITH_GPU: dict[str, tuple[str, int]] = {
    **{f'a2-highgpu-{count}g': ('NVIDIA_TESLA_A100', count) for count in (1, 2, 4, 8)},
    'a2-megagpu-16g': ('NVIDIA_TESLA_A100', 16),
    **{f'a2-ultragpu-{count}g': ('NVIDIA_A100_80GB', count) for count in (1, 2, 4, 8)},
    **{f'a3-highgpu-{count}g': ('NVIDIA_H100_80GB', count) for count in (1, 2, 4, 8)},
    'a3-megagpu-8g': ('NVIDIA_H100_MEGA_80GB', 8),
    'a3-ultragpu-8g': ('NVIDIA_H200_141GB', 8),
    'a4-highgpu-8g': ('NVIDIA_B200', 8),
    **{f'g2-standard-{cores}': ('NVIDIA_L4', 1) for cores in (4, 8, 12, 16, 32)},
    'g2-standard-24': ('NVIDIA_L4', 2),
    'g2-standard-48': ('NVIDIA_L4', 4),
    'g2-standard-96': ('NVIDIA_L4', 8),
}
# GPUs that are attached to N1 machines, and how many of them.
_N1_GPUS = {
    'NVIDIA_TESLA_T4': (1, 2, 4),
    'NVIDIA_TESLA_P4': (1, 2, 4),
    'NVIDIA_TESLA_P100': (1, 2, 4),
    'NVIDIA_TESLA_V100': (1, 2, 4, 8),
}
_SIZES = {
    'n1-standard': (4, 8, 16, 32, 64, 96),
    'n1-highmem': (2, 4, 8, 16, 32, 64, 96),
    'n1-highcpu': (16, 32, 64, 96),
    'n2-standard': (4, 8, 16, 32, 48, 64, 80),
    'n2-highmem': (2, 4, 8, 16, 32, 48, 64, 80),
    'e2-standard': (4, 8, 16, 32),
    'e2-highmem': (2, 4, 8, 16),
    'c2-standard': (4, 8, 16, 30, 60),
}
_PLAIN = tuple(f'{family}-{cores}' for family, sizes in _SIZES.items() for cores in sizes)
# TPU v5e hosts: machine type -> topology of all its chips. Larger topologies span hosts.
TPUS = {'ct5lp-hightpu-1t': '1x1', 'ct5lp-hightpu-4t': '2x2', 'ct5lp-hightpu-8t': '2x4'}
_OTHER_TPUS = ('cloud-tpu', 'ct5p-', 'ct6e-')
KNOWN = (*_PLAIN, *_WITH_GPU, *TPUS)
# New sizes and families come now and then; what has the form of a name is left for the API to judge.
_FORM = re.compile(
    r'((n1|n2|n2d|n4|e2|c2|c2d|c3|c3d|c4|m1|m3)-(standard|highmem|highcpu|ultramem|megamem)'
    r'|(a3|a4|a4x|g4)-(standard|edgegpu|highgpu|megagpu|ultragpu))-\d+g?'
)


def machine_spec(machine: str, accelerator: str = '', count: int | None = None, topology: str = '') -> dict[str, Any]:
    """Returns a MachineSpec, with the accelerator that the machine type implies filled in.

    Args:
        machine: machine type.
        accelerator: a name of AcceleratorType; '' for none, or the machine's own.
        count: how many; None is the machine's own number, or 1.
        topology: of a TPU host; '' is the machine's own.

    Raises:
        UserError: a name is unknown, or the three do not go together.
    """
    _check_names(machine, accelerator)
    if machine in TPUS:
        return _tpu(machine, accelerator, count, topology)
    if topology:
        raise errors.bad_value('--tpu_topology', topology, f'nothing with --machine_type={machine}, which has no TPU')
    if machine in _WITH_GPU:
        return _built_in(machine, accelerator, count)
    if not accelerator:
        if count:
            raise errors.bad_value('--accelerator_count', count, 'nothing without --accelerator_type')
        return {'machineType': machine}
    return _attached(machine, accelerator, 1 if count is None else count)


def _check_names(machine: str, accelerator: str) -> None:
    if machine.startswith(_OTHER_TPUS):
        raise errors.bad_value('--machine_type', machine, f'of TPUs: {", ".join(TPUS)} (v5e, one host)')
    formed = bool(_FORM.fullmatch(machine)) and machine.rpartition('-')[0] not in _SIZES
    if machine not in KNOWN and not formed:
        raise errors.unknown_name('machine type', machine, KNOWN, '--machine_type')
    if accelerator and accelerator not in api_types.accelerators():
        raise errors.unknown_name('accelerator', accelerator, api_types.accelerators(), '--accelerator_type')
    if accelerator.startswith('TPU') and machine not in TPUS:
        raise errors.bad_value(
            '--accelerator_type', accelerator, f'a GPU; TPUs come with the machine type: {", ".join(TPUS)}'
        )


def _tpu(machine: str, accelerator: str, count: int | None, topology: str) -> dict[str, Any]:
    whole = TPUS[machine]
    if topology and topology != whole:
        raise errors.bad_value(
            '--tpu_topology',
            topology,
            f'{whole} with --machine_type={machine} ('
            + ', '.join(f'{one}: {size}' for one, size in TPUS.items())
            + '); a larger slice spans hosts, and TensorFlow drives one here',
        )
    if accelerator or count:
        raise errors.bad_value(
            '--accelerator_type', accelerator or count, f'nothing with {machine}: its chips come with it'
        )
    return {'machineType': machine, 'tpuTopology': whole}


def _built_in(machine: str, accelerator: str, count: int | None) -> dict[str, Any]:
    own, number = _WITH_GPU[machine]
    if accelerator not in ('', own):
        raise errors.bad_value('--accelerator_type', accelerator, f'{own}, which {machine} is built with')
    if count not in (None, number):
        raise errors.bad_value('--accelerator_count', count, f'{number}, which {machine} is built with')
    return {'machineType': machine, 'acceleratorType': own, 'acceleratorCount': number}


def _attached(machine: str, accelerator: str, count: int) -> dict[str, Any]:
    if machine.startswith('n1-'):
        if accelerator not in _N1_GPUS:
            raise errors.bad_value(
                '--accelerator_type', accelerator, f'{", ".join(_N1_GPUS)} with {machine}; others come with machine '
                f'types of their own, {_homes(accelerator)}'
            )
        if count not in _N1_GPUS[accelerator]:
            allowed = ', '.join(map(str, _N1_GPUS[accelerator]))
            raise errors.bad_value('--accelerator_count', count, f'{allowed} of {accelerator}')
    elif machine in _PLAIN:
        raise errors.bad_value(
            '--accelerator_type', accelerator, f'nothing with {machine}; GPUs go with n1, a2, a3, a4 and g2'
        )
    elif count < 1:
        raise errors.bad_value('--accelerator_count', count, '1 or more')
    return {'machineType': machine, 'acceleratorType': accelerator, 'acceleratorCount': count}


def _homes(accelerator: str) -> str:
    found = [machine for machine, (own, _) in _WITH_GPU.items() if own == accelerator]
    return f'this one with {", ".join(found)}' if found else 'such as a2-highgpu-1g'


def replicas(spec: Mapping[str, Any], machines: int) -> int:
    """Devices that a global batch is shared out over: GPUs or TPU chips of all machines, or the machines."""
    topology = spec.get('tpuTopology')
    if topology:
        rows, columns = map(int, topology.split('x'))
        return rows * columns * machines
    return int(spec.get('acceleratorCount', 1)) * machines

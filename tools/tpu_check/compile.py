"""Second half of `make tpu-check`, in the environment of requirements-tpu.lock: libtpu compiles HLO for a TPU.

It knows nothing of TensorFlow and of the project. libtpu holds the TPU compiler; no TPU is needed, nor looked for.
"""

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from typing import Any

# libtpu otherwise asks the cloud's metadata server which TPU this machine has.
_ENVIRONMENT = {
    'TPU_SKIP_MDS_QUERY': '1',
    'TPU_ACCELERATOR_TYPE': 'v5litepod-4',
    'TPU_WORKER_HOSTNAMES': 'localhost',
    'JAX_PLATFORMS': 'cpu',
    # Two of them would fight for a TPU, if there were one.
    'ALLOW_MULTIPLE_LIBTPU_LOAD': '1',
}


def module_of(hlo: bytes) -> Any:
    """Turns a serialized HloModuleProto into StableHLO that libtpu takes, its variables aliased."""
    from jaxlib import _jax  # noqa: PLC0415
    from jaxlib.mlir import ir  # noqa: PLC0415

    module = ir.Module.parse(_jax.mlir.hlo_to_stablehlo(hlo))
    copies = []

    def collect(operation: Any) -> Any:
        if operation.name == 'mhlo.copy':
            copies.append(operation)
        return ir.WalkResult.ADVANCE

    module.operation.walk(collect)
    for operation in copies:
        # TensorFlow's copies of results; there is no such operation in StableHLO, and none is needed.
        operation.results[0].replace_all_uses_with(operation.operands[0])
        operation.erase()
    _alias(module)
    return module


def _alias(module: Any) -> None:
    """Says at the arguments which results overwrite them, as jax does: the new values of variables.

    TensorFlow says it in an attribute of the module, which a StableHLO program does not have.
    """
    from jaxlib.mlir import ir  # noqa: PLC0415

    name = 'mhlo.input_output_alias'
    attributes = module.operation.attributes
    if name not in attributes:
        return
    main = next(item for item in module.body.operations if str(item.attributes['sym_name']) == '"main"')
    arguments = [dict(_items(item)) for item in _argument_attributes(main)]
    for entry in attributes[name]:
        entry = ir.DictAttr(entry)
        output = list(ir.DenseI64ArrayAttr(entry['output_index']))
        parameter = ir.IntegerAttr(ir.DictAttr(entry['alias'])['parameter_number']).value
        arguments[parameter]['tf.aliasing_output'] = ir.IntegerAttr.get(ir.IntegerType.get_signless(32), output[0])
    main.attributes['arg_attrs'] = ir.ArrayAttr.get([ir.DictAttr.get(item) for item in arguments])
    del attributes[name]


def _argument_attributes(main: Any) -> list[Any]:
    from jaxlib.mlir import ir  # noqa: PLC0415

    if 'arg_attrs' in main.attributes:
        return [ir.DictAttr(item) for item in ir.ArrayAttr(main.attributes['arg_attrs'])]
    return [ir.DictAttr.get({}) for _ in main.regions[0].blocks[0].arguments]


def _items(attribute: Any) -> list[tuple[str, Any]]:
    return [(attribute[index].name, attribute[index].attr) for index in range(len(attribute))]


def cores_of(topology: str) -> Any:
    """The devices of a slice, as libtpu describes them."""
    from jax.experimental import topologies  # noqa: PLC0415

    return topologies.get_topology_desc(platform='tpu', topology_name=topology).devices


def compiled(hlo: bytes, devices: Any) -> Any:
    """Compiles a program that runs on every core of a slice, each being a replica.

    Raises:
        jax.errors.JaxRuntimeError: libtpu's text: what it cannot compile, or what does not fit the memory.
    """
    import numpy as np  # noqa: PLC0415
    from jax.interpreters import mlir  # noqa: PLC0415
    from jaxlib import _jax, xla_client  # noqa: PLC0415

    options = xla_client.CompileOptions()
    options.num_replicas, options.num_partitions = len(devices), 1
    options.device_assignment = xla_client.DeviceAssignment.create(np.arange(len(devices)).reshape(-1, 1))
    with mlir.make_ir_context():
        module = module_of(hlo)
        return devices[0].client.compile(module, _jax.DeviceList(tuple(devices)), options)


def measured(executable: Any) -> dict[str, Any]:
    """What a compiled program needs of one core."""
    memory = executable.get_compiled_memory_stats()
    costs = executable.cost_analysis() or {}
    return {
        'argument_bytes': memory.argument_size_in_bytes,
        'output_bytes': memory.output_size_in_bytes,
        'alias_bytes': memory.alias_size_in_bytes,
        'temp_bytes': memory.temp_size_in_bytes,
        'code_bytes': memory.generated_code_size_in_bytes,
        'peak_bytes': getattr(memory, 'peak_memory_in_bytes', 0),
        'flops': costs.get('flops'),
        'bytes_accessed': costs.get('bytes accessed'),
    }


def main(argv: Sequence[str]) -> int:
    """Compiles one program; returns 0, or 1 where it does not compile or fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--hlo', required=True, help='serialized HloModuleProto')
    parser.add_argument('--slice', required=True, help='topology, such as v5e:2x2')
    parser.add_argument('--report', required=True, help='JSON to write')
    args = parser.parse_args(argv)
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import jax  # noqa: PLC0415

    with open(args.hlo, 'rb') as handle:
        hlo = handle.read()
    devices = cores_of(args.slice)  # what fails here says nothing of the step
    started = time.monotonic()
    report: dict[str, Any] = {}
    try:
        report = measured(compiled(hlo, devices))
    except jax.errors.JaxRuntimeError as error:
        report['error'] = str(error)
    report['seconds'] = time.monotonic() - started
    report['host_bytes'] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with open(args.report, 'w', encoding='utf-8') as handle:
        json.dump(report, handle)
    return 1 if 'error' in report else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

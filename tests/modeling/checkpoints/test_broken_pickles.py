"""Tests of hostile PyTorch files: each a clear error, nothing executed, nothing written."""

import pickle
import zipfile

import numpy as np
import pytest

from tests.modeling.checkpoints import writers
from tests.modeling.checkpoints.tiny import KERNEL, refused


class Payload:
    """Makes Python's own unpickler create a file."""

    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return open, (self._path, 'w')


def test_a_payload_is_refused_by_name_and_never_run(folders, tmp_path):
    where, output = folders
    trap = tmp_path / 'trap'
    real = pickle.dumps({'state': Payload(str(trap))}, protocol=2)
    pickle.loads(real)['state'].close()
    assert trap.exists()  # the payload is a real one
    trap.unlink()
    opcodes = writers.Raw(real[2:-1])
    (where / 'a.pth').write_bytes(writers.legacy_bytes({'x': opcodes}, {}))
    refused(where / 'a.pth', output, "asks for '(_io|io).open', which no state dict needs; nothing was run")
    with zipfile.ZipFile(where / 'b.pth', 'w') as archive:
        archive.writestr('archive/data.pkl', real)
    refused(where / 'b.pth', output, "asks for '(_io|io).open'")
    assert not trap.exists()


@pytest.mark.parametrize('name', ['os system', 'builtins eval', 'torch.serialization load', 'collections deque'])
def test_unknown_globals_are_refused(folders, name):
    where, output = folders
    opcodes = writers.Raw(b'c' + name.replace(' ', '\n').encode() + b'\n')
    (where / 'a.pth').write_bytes(writers.legacy_bytes({'x': opcodes}, {}))
    refused(where / 'a.pth', output, f"asks for '{name.replace(' ', '.')}'")


@pytest.mark.parametrize(
    ('opcodes', 'match'),
    [
        (b'\x80\x04\x8c\x02os\x8c\x06system\x93', "asks for 'os.system'"),
        (b'(i__main__\nThing\n', "uses 'INST'"),
        (b'ccollections\nOrderedDict\n)\x81', "uses 'NEWOBJ'"),
        (b'\x82\x01', "uses 'EXT1'"),
        (b'X\x05\x00\x00\x00helloQ', 'something other than a storage'),
        (b'(X\x07\x00\x00\x00storageX\x01\x00\x00\x00aX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ', 'has the class'),
        (b'X\x05\x00\x00\x00hello)R', "calls 'hello'"),
        (b'h\x09', 'recalls what it never stored'),
        (b'\x8e\xff\xff\xff\xff\xff\xff\xff\x7f', 'damaged'),
        (b'X\xff\xff\xff\x7fabc', 'damaged'),
        (b't', 'closes what it never opened'),
        (b'00', 'empty stack'),
        (b']K\x01K\x02s', 'something other than a dictionary'),
        (b']}b', 'sets attributes on something other than a dictionary'),
    ],
)
def test_hostile_opcodes_are_refused(folders, opcodes, match):
    where, output = folders
    (where / 'a.pth').write_bytes(writers.legacy_bytes(writers.Raw(opcodes), {}))
    refused(where / 'a.pth', output, match)


@pytest.mark.parametrize(
    ('changes', 'match'),
    [
        ({'shape': (5,), 'strides': (1,)}, 'reaches out of its storage of 4'),
        ({'shape': (2, 2), 'strides': (1, 3)}, 'reaches out of its storage'),
        ({'offset': 1}, 'reaches out of its storage'),
        ({'shape': (10**12,), 'strides': (0,)}, 'reaches out of its storage'),
        ({'shape': (-1,)}, 'has the shape'),
        ({'strides': (-1,)}, 'has the strides'),
        ({'shape': (2, 2)}, '2 sizes and 1 strides'),
        ({'storage': 'torch\nQInt8Storage'}, "asks for 'torch.QInt8Storage'"),
        ({'length': 2**60, 'shape': (2**60,)}, 'has 4 numbers where 1152921504606846976 were said'),
        ({'length': -4}, 'the length -4'),
    ],
)
def test_lies_about_a_tensor_are_refused_before_memory_is_taken(folders, changes, match):
    where, output = folders
    array = np.ones([4], np.float32)
    content = {KERNEL: writers.tensor('0', array, **changes)}
    (where / 'a.pth').write_bytes(writers.legacy_bytes(content, {'0': array}))
    refused(where / 'a.pth', output, match)


def test_lies_about_storages_are_refused(folders):
    where, output = folders
    array = np.ones([4], np.float32)
    content = {KERNEL: writers.tensor('0', array)}
    (where / 'a.pth').write_bytes(writers.legacy_bytes(content, {}))
    refused(where / 'a.pth', output, 'storages 0 that its tensors need are not in it')
    (where / 'a.pth').write_bytes(writers.legacy_bytes(content, {'0': array, '1': array}))
    refused(where / 'a.pth', output, "no tensor tells the type of its storage '1'")
    (where / 'a.pth').write_bytes(writers.legacy_bytes(content, {'0': array}) + b'tail')
    refused(where / 'a.pth', output, '4 bytes follow its last storage')
    (where / 'a.pth').write_bytes(writers.legacy_bytes({'epoch': 3}, {}))
    refused(where / 'a.pth', output, 'it holds no tensors')
    cycle = writers.Raw(b'}q\x01X\x01\x00\x00\x00ah\x01s')
    (where / 'a.pth').write_bytes(writers.legacy_bytes(cycle, {}))
    refused(where / 'a.pth', output, 'contain themselves')

import tracemalloc

import numpy as np
import pytest

from face128.engines.dlib.dat_file import read_resnet
from face128.engines.dlib.weight_files import RESNET_FILE, find_weights
from face128.errors import ConfigurationError


@pytest.fixture(scope="module")
def data():
    return (find_weights() / RESNET_FILE).read_bytes()


def refuses(data):
    """Whether the reader refuses the bytes; anything but a ConfigurationError fails the test."""
    try:
        read_resnet(data)
    except ConfigurationError:
        return True
    return False


def refused_changes(data, changes):
    """The places at which the reader refuses the change of one byte; ``changes`` are (place, bits to flip)."""
    changed, refused = bytearray(data), []  # one copy for all: 22 MB take longer to copy than to read
    for place, bits in changes:
        changed[place] ^= bits
        if refuses(changed):
            refused.append(place)
        changed[place] = data[place]
    return refused


def test_a_file_cut_anywhere_is_refused(data):
    places = [*range(320), *np.random.default_rng(3).integers(320, len(data), 200)]
    assert all(refuses(data[:place]) for place in places)


def test_a_byte_changed_between_the_weights_is_refused_or_harmless(data):
    random = np.random.default_rng(4)
    names = [data.rindex(name) for name in (b"con_4", b"affine_", b"relu_", b"add_prev_", b"max_pool_2", b"fc_2")]
    places = [*range(320), *(place for name in names for place in random.integers(name - 40, name + 40, 30))]
    changes = random.integers(1, 256, len(places))
    refused = refused_changes(data, zip(places, changes, strict=True))
    assert len(refused) > len(places) / 2  # the rest are weights, and numbers that only training reads


def test_every_byte_of_the_structure_counts(data):
    relu = data.index(b"\x01\x05relu_")
    versions, layer = range(0x1D, 0x11F), range(relu, relu + 40)  # of all layers; and one whole layer without weights
    places = [*versions, *layer]
    assert refused_changes(data, ((place, 2) for place in places)) == places


def test_a_mean_that_is_not_finite_is_refused(data):
    name = b"input_rgb_image_sized"
    mantissa = data.index(name) + len(name)
    exponent = mantissa + 1 + data[mantissa]
    infinity = b"\x01\x00" + b"\x02\x00\x7d"  # mantissa 0, exponent 32000: dlib's way to write it
    assert refuses(data[:mantissa] + infinity + data[exponent + 1 + (data[exponent] & 0x0F) :])


def test_a_tensor_that_claims_to_be_huge_is_refused_before_memory_is_taken(data):
    size = b"con_4" + bytes([1, 2, 2, 0x80, 0x12])  # the stem's 4736 numbers, as the first integer of a shape
    assert size in data
    huge = data.replace(size, b"con_4" + bytes([1, 2, 8]) + b"\xff" * 7 + b"\x7f", 1)
    tracemalloc.start()
    try:
        assert refuses(huge)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("weight", [np.nan, np.inf])
def test_a_weight_that_is_not_finite_is_refused(data, weight):
    at = data.index(read_resnet(data).projection.tobytes())
    assert refuses(data[:at] + np.float32(weight).tobytes() + data[at + 4 :])


def test_bytes_after_the_network_are_refused(data):
    assert not refuses(data)
    assert refuses(data + b"\0")

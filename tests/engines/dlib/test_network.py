from concurrent.futures import ThreadPoolExecutor

import dlib
import numpy as np
import onnx
import pytest
from paths import FIXTURES, LFW

from face128.engines.dlib.dat_file import read_resnet
from face128.engines.dlib.engine import load_network
from face128.engines.dlib.weight_files import LANDMARKS_FILE, RESNET_FILE, find_weights
from face128.engines.resnet.network import DescriptorNetwork, to_onnx

PHOTOS = sorted((FIXTURES / "photos").iterdir())
LFW_IMAGES = LFW / "images"
PARITY = 1e-5  # L2; dlib's own float32 is up to 5e-6 away from a float64 computation


@pytest.fixture(scope="module")
def folder():
    return find_weights()


@pytest.fixture(scope="module")
def data(folder):
    return (folder / RESNET_FILE).read_bytes()


@pytest.fixture(scope="module")
def network(folder):
    return load_network(folder / RESNET_FILE)


@pytest.fixture(scope="module")
def reference(folder):
    return reference_network(folder / RESNET_FILE)


@pytest.fixture(scope="module")
def cut(folder):
    """Cuts chips out of photos exactly as face_recognition does."""
    detect, landmarks = dlib.get_frontal_face_detector(), dlib.shape_predictor(str(folder / LANDMARKS_FILE))

    def chips(paths):
        images = (dlib.load_rgb_image(str(path)) for path in paths)
        return np.array(
            [
                dlib.get_face_chip(image, landmarks(image, box), 150, 0.25)
                for image in images
                for box in detect(image, 1)
            ]
        )

    return chips


@pytest.fixture(scope="module")
def chips(cut):
    return cut(PHOTOS)


def reference_network(path):
    model = dlib.face_recognition_model_v1(str(path))
    return lambda chips: np.array(model.compute_face_descriptor(list(chips)))


def furthest(descriptors, others):
    assert descriptors.shape == others.shape
    return np.linalg.norm(descriptors - others, axis=1).max()


def test_real_faces_get_dlibs_own_descriptors(network, reference, chips):
    assert len(chips) >= len(PHOTOS)
    descriptors = network(chips)
    assert descriptors.dtype == np.float32
    assert furthest(descriptors, reference(chips)) <= PARITY


def test_faces_of_lfw_get_dlibs_own_descriptors(network, reference, cut):
    # benchmarks/network.py takes 500; dlib alone spends 40 seconds on those.
    photos = sorted(LFW_IMAGES.rglob("*.jpg"))[::25]
    if not photos:
        pytest.skip("../shared/data/lfw-view1 is not here")
    chips = cut(photos)
    assert len(chips) >= 60
    assert furthest(network(chips), reference(chips)) <= PARITY


def test_what_is_no_face_gets_dlibs_own_descriptors(network, reference):
    noise = np.random.default_rng(1).integers(0, 256, (3, 150, 150, 3), np.uint8)
    flat = [np.full((1, 150, 150, 3), value, np.uint8) for value in (0, 255)]
    chips = np.concatenate([noise, *flat])
    assert furthest(network(chips), reference(chips)) <= PARITY


def test_convolutions_with_biases_are_as_dlib_computes_them(reference, chips, data, tmp_path):
    # dlib's own biases are almost 0 and show no mistake; face-api.js's are not. So give dlib's file some, and ask dlib.
    resnet, other, random = read_resnet(data), bytearray(data), np.random.default_rng(2)
    for convolution in (resnet.stem, *(half for block in resnet.blocks for half in block)):
        at = data.index(convolution.filters.tobytes()) + convolution.filters.nbytes
        biases = random.normal(0, 0.1, convolution.biases.shape).astype("<f4").tobytes()
        other[at : at + len(biases)] = biases
    (tmp_path / RESNET_FILE).write_bytes(other)
    expected = reference_network(tmp_path / RESNET_FILE)(chips)
    assert furthest(expected, reference(chips)) > 0.01
    assert furthest(DescriptorNetwork(read_resnet(bytes(other)))(chips), expected) <= PARITY


@pytest.mark.parametrize("count", range(1, 10))
def test_a_chip_gets_the_same_descriptor_in_any_batch(network, chips, count):
    batch = np.resize(chips, (count, *chips.shape[1:]))
    one_by_one = np.concatenate([network(chip[None]) for chip in batch])
    assert furthest(network(batch), one_by_one) <= 1e-6


def test_no_chips_make_no_descriptors(network, chips):
    descriptors = network(chips[:0])
    assert descriptors.shape == (0, 128)
    assert descriptors.dtype == np.float32


def test_a_mirrored_view_counts_as_what_it_shows(network, chips):
    view = chips[:, :, ::-1]
    assert np.array_equal(network(view), network(view.copy()))
    assert furthest(network(view), network(chips)) > 0.01


def test_threads_may_share_a_network(network, chips):
    expected = network(chips)
    with ThreadPoolExecutor(4) as pool:
        for descriptors in pool.map(network, [chips] * 12):
            assert np.array_equal(descriptors, expected)


def test_the_graph_is_valid_onnx(data):
    model = onnx.load_model_from_string(to_onnx(read_resnet(data)))
    onnx.checker.check_model(model, full_check=True)

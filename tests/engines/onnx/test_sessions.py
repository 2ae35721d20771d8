"""Execution providers of the settings, and what happens to those that do not work here."""

from __future__ import annotations

import logging

import insight_packs
import numpy as np
import pytest

from face128.engines.dlib.engine import load_network
from face128.engines.dlib.weight_files import RESNET_FILE, find_weights
from face128.engines.insightface.engine import InsightfaceEngine
from face128.engines.onnx.sessions import CPU_PROVIDERS, providers_in_use


@pytest.fixture(autouse=True)
def no_warning_was_logged_yet() -> None:
    providers_in_use.cache_clear()


def test_the_cpu_is_always_there(caplog: pytest.LogCaptureFixture) -> None:
    assert providers_in_use(CPU_PROVIDERS) == CPU_PROVIDERS
    assert caplog.text == ""


def test_a_missing_provider_is_one_warning_and_the_cpu(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    wanted = ("NoSuchExecutionProvider", *CPU_PROVIDERS)
    for _ in range(2):
        assert providers_in_use(wanted) == CPU_PROVIDERS
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "NoSuchExecutionProvider" in record.getMessage()
    assert capfd.readouterr().out == ""  # where ONNX Runtime itself would complain


def test_the_cpu_comes_last_even_if_it_is_not_named() -> None:
    assert providers_in_use(("NoSuchExecutionProvider",)) == CPU_PROVIDERS


def test_every_network_runs_where_its_provider_is_missing(tmp_path) -> None:
    wanted = ("NoSuchExecutionProvider", *CPU_PROVIDERS)
    grey = np.full((1, 150, 150, 3), 99, np.uint8)
    path = find_weights() / RESNET_FILE
    assert np.array_equal(load_network(path, wanted)(grey), load_network(path)(grey))
    grey = grey[:, :112, :112]
    pack = insight_packs.tiny_pack(tmp_path)
    ours, plain = InsightfaceEngine(pack, providers=wanted), InsightfaceEngine(pack)
    assert np.array_equal(ours.describe(grey), plain.describe(grey))

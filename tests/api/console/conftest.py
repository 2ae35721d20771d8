"""The service, the browser and the page that the console's tests use. Each test file has its own: see console_browser.

A file that needs other settings defines its own fixture ``console``, and ``page`` uses that.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from console_browser import Camera, console_browser, open_page
from console_service import Console, console_service
from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def console() -> Iterator[Console]:
    with console_service() as console:
        yield console


@pytest.fixture(scope="module")
def _browser_and_camera() -> Iterator[tuple[Browser, Camera]]:
    with console_browser() as both:
        yield both


@pytest.fixture(scope="module")
def browser(_browser_and_camera: tuple[Browser, Camera]) -> Browser:
    return _browser_and_camera[0]


@pytest.fixture
def camera(_browser_and_camera: tuple[Browser, Camera]) -> Camera:
    """Sees obama-2010.jpg until a test shows it something else."""
    camera = _browser_and_camera[1]
    camera.show("obama-2010.jpg")
    return camera


@pytest.fixture
def page(browser: Browser, console: Console) -> Iterator[Page]:
    """Signed in with the key that opens everything. Fails at its end if something went wrong unseen: see Watch."""
    with open_page(browser, console) as page:
        yield page

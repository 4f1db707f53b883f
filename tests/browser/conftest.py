"""A real JupyterLab and a real Chromium, once for all browser tests; a tab of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

import nnwidgets
from lab_driver import KernelHost, Lab, LabServer, launched
from lab_driver.picture import picture

expect.set_options(timeout=20_000)
SOURCE = Path(nnwidgets.__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            # Two cores run a server, a kernel and a browser: a stall is told as a rerun, not as a failure.
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="package")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """Chromium as the machine has it."""
    with launched(tmp_path_factory.mktemp("chromium")) as context:
        yield context


@pytest.fixture(scope="package")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelHost]:
    """Kernels that need not wait for torch."""
    host = KernelHost(tmp_path_factory.mktemp("kernels"))
    yield host
    host.end()


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory, kernels: KernelHost) -> Iterator[LabServer]:
    """JupyterLab of this interpreter, with the nnwidgets under test."""
    server = LabServer(tmp_path_factory.mktemp("lab"), source=SOURCE, kernels=kernels)
    yield server
    server.end()


@pytest.fixture
def context(chromium: BrowserContext) -> Iterator[BrowserContext]:
    """The browser with no page of an earlier test, and nothing that one stored."""
    yield chromium
    chromium.set_offline(False)
    for page in chromium.pages:
        page.close()


@pytest.fixture
def lab(server: LabServer, context: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """JupyterLab in a tab; fails the test if the page met an uncaught exception."""
    lab = Lab(server, context)
    yield lab
    if getattr(request.node, "failed", False):
        picture(lab.page, f"failed-{request.node.name}")
    server.end_kernels()
    assert lab.faults == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if call.when == "call":
        item.failed = report.failed
    return report

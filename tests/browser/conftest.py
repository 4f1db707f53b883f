"""A real JupyterLab and a real Chromium, once for all browser tests; a tab of its own for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

import nnwidgets
from lab_driver import KernelHost, Lab, LabServer, launched
from lab_driver.picture import picture
from lab_driver.stalls import bounded

expect.set_options(timeout=20_000)
SOURCE = Path(nnwidgets.__file__).parents[1]
LONGEST_SECONDS = 240
"""For a test, what is done before it, and what is done after it, each. The slowest take a quarter of that."""


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
    """The browser; the pages that a test opens in it are closed after it."""
    before = set(chromium.pages)
    yield chromium
    for page in set(chromium.pages) - before:
        page.close()


@pytest.fixture(scope="module")
def used() -> Iterator[list[Lab]]:
    """JupyterLab in a tab that an earlier test of the module has used, if there is one: it takes seconds to load."""
    labs: list[Lab] = []
    yield labs
    for lab in labs:
        lab.page.close()


@pytest.fixture
def lab(server: LabServer, chromium: BrowserContext, used: list[Lab], request: pytest.FixtureRequest) -> Iterator[Lab]:
    """JupyterLab in a tab, without notebooks; fails the test if the page met an uncaught exception."""
    lab = used.pop() if used else Lab(server, chromium)
    yield lab
    faults = list(lab.faults)
    has_failed = getattr(request.node, "failed", False)
    if has_failed:
        picture(lab.page, f"failed-{request.node.name}")
    if not has_failed and not faults and lab.is_cleared():
        used.append(lab)
    else:
        lab.page.close()
    server.end_kernels()
    assert faults == []


@pytest.fixture
def discard_used(used: list[Lab]) -> Callable[[], None]:
    """Closes the tab that was used, so that the next test has a new one."""

    def discard() -> None:
        while used:
            used.pop().page.close()

    return discard


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    with bounded(LONGEST_SECONDS):
        yield


pytest_runtest_call = pytest_runtest_teardown = pytest_runtest_setup


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if call.when == "call":
        item.failed = report.failed
    return report

"""The app in a real browser: the front is drawn, the answer is read, a click picks a design."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "tests" / "screenshots"
WAIT_MS = 90_000
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def chromium() -> str:
    """Path of a Chromium; without one the tests skip, or fail where a browser is required."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = os.environ.get("CHROMIUM") or next((path for name in names if (path := shutil.which(name))), None)
    if found and Path(found).exists():
        return found
    reason = f"no Chromium: none of {', '.join(names)} in PATH and $CHROMIUM does not name one"
    if os.environ.get("EXPLORER_REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def address(store_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the app on a free port for the tests of this file."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true"]
    command += [f"--server.port={port}", "--server.address=127.0.0.1", "--server.fileWatcherType=none"]
    command += ["--browser.gatherUsageStats=false", "--", "--store", str(store_root)]
    log = tmp_path_factory.mktemp("app") / "log"
    with open(log, "wb") as output:
        server = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health", server, log)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.25)
    pytest.fail(f"the app did not start: {log.read_text()}")


def test_front_and_answer_are_seen_and_a_click_picks(chromium: str, address: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    SCREENSHOTS.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            page = browser.new_page(viewport={"width": 1400, "height": 2400})
            page.goto(address)
            expect(page.locator("h1").first).to_contain_text("Ship a", timeout=WAIT_MS)
            chart = page.get_by_test_id("stVegaLiteChart").first
            drawn = chart.locator("canvas, svg.marks").first
            expect(drawn).to_be_visible(timeout=WAIT_MS)
            expect(page.get_by_text("The answer in full")).to_be_visible(timeout=WAIT_MS)
            page.wait_for_timeout(1500)  # the chart draws its marks a moment after its canvas is there
            page.screenshot(path=SCREENSHOTS / "app.png")
            answer = page.get_by_test_id("stCode").first.inner_text()
            _click_a_mark(page, chart, SCREENSHOTS / "app.png")
            expect(page.get_by_text("The chosen design in full")).to_be_visible(timeout=WAIT_MS)
            # text and address follow a moment later, on a busy machine several
            expect(page.get_by_test_id("stCode").first).not_to_have_text(answer, timeout=WAIT_MS)
            expect(page).to_have_url(re.compile("design="), timeout=WAIT_MS)
            page.screenshot(path=SCREENSHOTS / "app-picked.png")
        finally:
            browser.close()


def _click_a_mark(page: object, chart: object, screenshot: Path) -> None:
    """Click where the screenshot shows the colour of a single model, below the legend."""
    from PIL import Image

    box = chart.bounding_box()
    left, top = int(box["x"]) + 90, int(box["y"]) + 60
    right, bottom = int(box["x"] + box["width"]) - 5, int(box["y"] + box["height"]) - 80
    image = Image.open(screenshot).convert("RGB")
    blue = [
        (x, y)
        for y in range(top, bottom)
        for x in range(left, right)
        if all(abs(a - b) < 14 for a, b in zip(image.getpixel((x, y)), (0x00, 0x72, 0xB2), strict=True))
    ]
    assert blue, "no mark of a single model is drawn"
    x, y = blue[len(blue) // 2]
    page.mouse.move(x, y)
    page.wait_for_timeout(300)
    page.mouse.click(x, y)


def test_the_report_draws_in_a_browser(chromium: str, store_root: Path, tmp_path: Path) -> None:
    from playwright.sync_api import expect, sync_playwright

    from explorer.analysis.advice.advise import advise
    from explorer.analysis.pool import load_pool
    from explorer.analysis.search.exact import search
    from explorer.analysis.search.plan import Space
    from explorer.convention import CostAxis
    from explorer.question import Budget
    from explorer.report import write_report
    from explorer.store import Store

    path = tmp_path / "report.html"
    with Store.open(store_root, create=False) as store:
        pool, notes = load_pool(store, "digits", CostAxis.parse("macs"))
        front = search(pool, pool.axis, Space(max_members=3), notes=notes)
        write_report(path, store=store, front=front, advice=advise(pool, front, Budget.parse("macs<=1M")))
    SCREENSHOTS.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            page = browser.new_page(viewport={"width": 1120, "height": 2200})
            errors: list[str] = []
            requests: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("request", lambda request: requests.append(request.url))
            page.goto(path.as_uri())
            expect(page.locator("h1")).to_contain_text("Ship a")
            page.screenshot(path=SCREENSHOTS / "report.png")
            rows = page.locator("#designs tbody tr")
            page.get_by_role("button", name="Accuracy").click()
            values = rows.evaluate_all("rows => rows.map(row => Number(row.dataset.accuracy))")
            assert values == sorted(values)
            page.locator(".kind-filter[value=cascade]").uncheck()
            assert page.locator("#designs tbody tr.cascade:visible").count() == 0
            assert errors == []
            assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
        finally:
            browser.close()

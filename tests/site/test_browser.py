"""The site in a browser: it asks no other site, is no wider than a phone, and can be searched."""

import shutil
import subprocess
import sys

import pytest
from support import PATIENCE_SECONDS, ROOT

from lab.site.build import serving

api = pytest.importorskip("playwright.sync_api")
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
PYTHON = shutil.which(
    "python", path=ROOT / ".venv/docs" / ("Scripts" if sys.platform == "win32" else "bin")
)
pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium"),
    pytest.mark.skipif(PYTHON is None, reason="needs zensical: make site"),
]
CODE = "import sys; from pathlib import Path; from lab.site.build import build; "
PAGES = (
    "index.html",
    "docs/statistics.html",
    "metrics/dataset-card.html",
    "docs/pull-requests.html",
)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    target = tmp_path_factory.mktemp("browsed") / "site"
    command = [PYTHON, "-c", CODE + "build(Path(), Path(sys.argv[1]))", str(target)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=PATIENCE_SECONDS)
    with serving(target, 0) as found:
        yield found


@pytest.mark.parametrize(
    "how",
    [
        {"viewport": {"width": 1280, "height": 900}},
        {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
        {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    ],
    ids=["desktop", "phone", "dark"],
)
def test_pages_open_and_ask_nobody_else(address, how):
    asked, faults = [], []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_context(**how).new_page()
        page.on("request", lambda one: asked.append(one.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("requestfailed", lambda one: faults.append(one.url))
        for name in PAGES:
            page.goto(f"{address}/{name}")
            page.wait_for_load_state("networkidle")
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, name
        browser.close()

    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert faults == []

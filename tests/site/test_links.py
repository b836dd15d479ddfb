"""What is wrong with built pages is found, and nothing else."""

import pytest

from lab.site.links import faults

GOOD = """<head><link rel="stylesheet" href="a.css"><link rel="canonical" href="https://o.org/x">
<script src="docs/a.js"></script></head><h1 id="top">T</h1><a href="#top">T</a><a href="docs">D</a>
<a href="docs/index.html#caf%C3%A9">c</a><a href="https://o.org">o</a><a href="mailto:a@b.org">m</a>
<img src="data:image/png;base64,AA=="><img src="docs/a%20b.png" srcset="docs/a%20b.png 2x">"""


@pytest.fixture
def site(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "a.css").write_text("a {background: url(data:x)}", encoding="utf-8")
    (tmp_path / "docs/a.js").touch()
    (tmp_path / "docs/a b.png").touch()
    page = '<p id="café"><a href="../index.html">up</a><a name="n"></a><a href="#n">n</a>'
    (tmp_path / "docs/index.html").write_text(page, encoding="utf-8")
    (tmp_path / "index.html").write_text(GOOD, encoding="utf-8")
    return tmp_path


def test_a_good_site_has_no_fault(site):
    assert list(faults(site)) == []


@pytest.mark.parametrize(
    ("added", "fault"),
    [
        ('<a href="no.html">', "a link to no.html, which is not there"),
        ('<a href="docs#no">', "a link to docs#no, where nothing is called #no"),
        ('<a href="/docs/">', "a link to /docs/, which is not there"),
        ('<a href="../x.html">', "a link to ../x.html, which is not there"),
        ('<img src="no.png">', "no.png is missing"),
        ('<img src="a.css" srcset="a.css, no.png 2x">', "no.png is missing"),
        ('<script src="https://o.org/a.js">', "loads https://o.org/a.js from another site"),
        ('<link rel="preconnect" href="//o.org">', "loads //o.org from another site"),
        ('<p style="background: url(https://o.org/a)">', "loads https://o.org/a from another site"),
        ('<iframe src="http://o.org">', "loads http://o.org from another site"),
    ],
)  # fmt: skip
def test_each_fault_is_named_with_its_page(site, added, fault):
    (site / "index.html").write_text(GOOD + added, encoding="utf-8")

    assert list(faults(site)) == [f"index.html: {fault}"]


def test_a_style_sheet_loads_nothing_from_elsewhere(site):
    (site / "a.css").write_text("@import 'https://o.org/f.css';", encoding="utf-8")

    assert list(faults(site)) == ["a.css: loads https://o.org/f.css from another site"]

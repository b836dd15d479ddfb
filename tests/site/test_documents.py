"""Links of the documents, as the site has them."""

import re

import pytest
from support import ROOT

from lab.base.errors import DataError
from lab.site.documents import collected, grouped

ADDRESS = "https://github.com/o/n"
FENCED = "```text\n[a](none)\n```\n"


@pytest.fixture
def documents(tmp_path):
    """Writes documents and files, and gives what README.md becomes."""

    def write(text: str, address: str = ADDRESS, **files: str):
        (tmp_path / "docs").mkdir(exist_ok=True)
        for name, content in {"README": text, "docs/a": "# A\n", **files}.items():
            place = tmp_path / (f"{name}.md" if "." not in name else name)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content, encoding="utf-8")
        return collected(tmp_path, address)

    return write


@pytest.mark.parametrize(
    ("text", "becomes", "without"),
    [
        ("[a](docs/a.md#b)", "[a](docs/a.md#b)", None),
        ("[b](#b), [c](https://c.org/d.py)", "[b](#b), [c](https://c.org/d.py)", None),
        ("[`x.py`](x.py#L1)", f"[`x.py`]({ADDRESS}/blob/HEAD/x.py#L1)", "`x.py`"),
        ("[of\ntwo lines](docs)", f"[of\ntwo lines]({ADDRESS}/tree/HEAD/docs)", "of\ntwo lines"),
        ("([here](../../pulls?q=is%3Apr))", f"([here]({ADDRESS}/pulls?q=is%3Apr))", "(here)"),
        ("`[a](none)`, ``[`](none)``", "`[a](none)`, ``[`](none)``", None),
        (f"{FENCED}[a](x.py)", f"{FENCED}[a]({ADDRESS}/blob/HEAD/x.py)", f"{FENCED}a"),
        ("[![b](../../x/badge.svg)](../../x)\n\nA", "\nA", None),
    ],
)  # fmt: skip
def test_a_link_out_of_the_documents_leads_to_the_repository_or_is_text(
    documents, text, becomes, without
):
    files = {"x.py": "", "docs/a": "# A\n\n## B\n"}

    assert documents(text, **files).pages["README.md"] == becomes
    assert documents(text, "", **files).pages["README.md"] == (without or becomes)


@pytest.mark.parametrize(
    "text",
    ["[a](none.md)", "[a](../x.py)", "![a](none.png)", '<img src="docs/a.md">',
     "![a](https://c.org/d.png)", '<img width="3" src="//c.org/d.png">'],
)  # fmt: skip
def test_a_link_that_leads_nowhere_and_a_picture_of_elsewhere_are_one_line(documents, text):
    with pytest.raises(DataError, match=r"^README.md: a link must lead to .*; got \S+; correct it"):
        documents(text)


def test_pictures_are_those_that_pages_show(documents):
    files = {"docs/b.png": "", "docs/c.png": "", "docs/d.png": "", "docs/a": "![b](b.png)"}
    found = documents("[d](docs/d.png)", "", **files)

    assert found.pictures == {"docs/b.png", "docs/d.png"}
    assert found.pages["README.md"] == "[d](docs/d.png)"


def test_every_document_is_on_the_site_and_in_its_navigation_once():
    site = collected(ROOT, "")
    expected = {path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("docs/*.md"),)}
    expected |= {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "lab/README.md"}
    expected |= {path.relative_to(ROOT).as_posix() for path in ROOT.glob("metrics/*-card.md")}
    listed = [name for group in site.groups.values() for name in group]

    assert expected <= site.pages.keys()
    assert sorted(listed) == sorted(site.pages)
    assert {"docs/export.md", "metrics/dataset-card.md"} <= set(listed)
    assert grouped(frozenset(site.pages)) == site.groups
    for text in site.pages.values():  # nothing of a link is left where no address is known
        prose = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
        assert not re.search(r"\]\((?!https?:|#|mailto:)[^)]*\.(py|yaml|toml)\b", prose)

"""The documentation is complete, its pictures and paths exist, and decisions have one form."""

import re
import tomllib
from xml.etree import ElementTree

import pytest

from tests.architecture.sources import ROOT, shown

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
DECISIONS = sorted((DOCS / "decisions").glob("0*.md"))
FRONT_PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "AGENTS.md", "SECURITY.md")]
SECTIONS = ["Context", "Decision", "Consequences", "Alternatives", "Check"]
OUR_PATH = re.compile(
    r"`((?:\.ci|benchmarks|docs|examples|requirements|src|tests|changelog\.d)/[\w./-]*\w/?)`"
)


def named_in(navigation) -> list[str]:
    found = []
    for item in navigation:
        for target in item.values():
            found += [target] if isinstance(target, str) else named_in(target)
    return found


def test_every_page_is_in_the_navigation_and_the_navigation_names_only_pages():
    navigation = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    assert sorted(named_in(navigation)) == [page.relative_to(DOCS).as_posix() for page in PAGES]


@pytest.mark.parametrize("page", [*PAGES, *FRONT_PAGES], ids=shown)
def test_links_and_pictures_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", text)
    assert not [name for name in targets if "://" not in name and not (page.parent / name).exists()]


@pytest.mark.parametrize("page", [*PAGES, *FRONT_PAGES], ids=shown)
def test_paths_of_this_repository_that_a_page_names_exist(page):
    assert not [name for name in OUR_PATH.findall(page.read_text()) if not (ROOT / name).exists()]


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_is_one_page_with_one_quotable_line_and_a_check(decision):
    text = decision.read_text()
    assert re.match(rf"# {decision.stem[:4]}\. \S", text)
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    assert len(re.findall(r"^> ", text, re.MULTILINE)) == 1
    assert "`" in text.split("## Check")[1]
    assert len(text.splitlines()) <= 60


def test_the_list_of_decisions_quotes_each_one():
    listed = (DOCS / "decisions/index.md").read_text()
    assert [int(path.stem[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    for decision in DECISIONS:
        text = decision.read_text()
        title, line = text.splitlines()[0].removeprefix("# "), re.findall(r"^> (.*)$", text, re.MULTILINE)[0]
        assert f"| [{title}]({decision.name}) | {line} |" in listed


def test_pictures_say_in_words_what_they_show_and_fit_a_dark_page():
    pictures = sorted((DOCS / "assets").glob("*.svg"))
    assert pictures
    for picture in pictures:
        ElementTree.parse(picture)
        text = picture.read_text()
        assert "<title" in text
        assert "<desc" in text
        assert "prefers-color-scheme:dark" in text

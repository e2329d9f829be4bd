"""The documentation's marked snippets are run, and one that lies is noticed."""

import subprocess
import sys

import pytest

from tests.architecture.sources import ROOT


def snippets(page):
    return subprocess.run(
        [sys.executable, ROOT / ".ci/snippets", page],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def page(tmp_path, *blocks: str):
    path = tmp_path / "page.md"
    path.write_text("\n\n".join(["# A page", *blocks]) + "\n")
    return path


def test_marked_snippets_run_in_order_in_one_folder(tmp_path):
    done = snippets(
        page(
            tmp_path,
            "<!-- test: file notes/a.txt -->\n```text\nhello\n```",
            "- in a list\n\n  <!-- test -->\n  ```sh\n  grep hello notes/a.txt\n  mkdir made\n  ```",
            "<!-- test: exit 3 -->\n```sh\ncd made && exit 3\n```",
            '<!-- test -->\n```json\n{"a": 1}\n```',
            "```sh\nnot marked, not run\n```",
        )
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "snippets: 4 passed, 0 failed"


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ("<!-- test -->\n```sh\necho because; false\n```", "because"),
        ("<!-- test: exit 3 -->\n```sh\ntrue\n```", "exit 0, expected 3"),
        ("<!-- test -->\n```json\n{\n```", "Expecting property name"),
        ("<!-- test -->\nno block", "right before a fenced block"),
        ("<!-- test -->\n```cobol\n```", "cannot be tested"),
    ],
)
def test_a_snippet_that_lies_is_noticed(tmp_path, block, complaint):
    done = snippets(page(tmp_path, block))
    assert done.returncode == 1
    assert complaint in done.stderr


def test_snippets_see_no_keys_of_the_one_who_runs_them(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-snippets")
    monkeypatch.setenv("MOSAIC_HOME", "/elsewhere")
    done = snippets(page(tmp_path, '<!-- test -->\n```sh\ntest -z "${OPENAI_API_KEY-}${MOSAIC_HOME-}"\n```'))
    assert done.returncode == 0, done.stderr

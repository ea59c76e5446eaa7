"""The documentation tells the truth: the code in README.md and docs/ runs, and its links lead somewhere.

How a page is run, in a folder of its own:
- A block whose first line is a comment with a file name (`# orders.py`, `# .env`) is saved as that file. Python files
  are run: `orders.py` as a script, `app/jobs.py` as a module, `test_orders.py` by pytest.
- The other ```python blocks of a page are one script, run after everything else, where enqueued jobs wait for ever.
- A ```bash block is run line by line if `<!-- run -->` stands above it; its lines begin with `lateshift` or `python`.
- `<!-- not run: reason -->` above a ```python block: it is only compiled, and may `await` at its top level.
"""

import ast
import os
import re
import shlex
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
PAGES = [page for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if page.exists()]

BLOCK = re.compile(
    r"""
    (?: ^[ ]* <!-- \s* (?P<remark> (?: (?!-->) . )*? ) \s* --> \s*? \n+ )?
    ^ (?P<indent> [ ]*) ``` (?P<language> \w+) [^\n]* \n
    (?P<code> .*?)
    ^ (?P=indent) ``` [ ]* $
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
FILE_NAME = re.compile(r"# ([\w./-]*\.[a-z]+)")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A piece of code on a page; `line` is where its code begins."""

    line: int
    language: str
    code: str
    remark: str

    @property
    def file_name(self):
        name = FILE_NAME.fullmatch(self.code.partition("\n")[0].rstrip())
        return name and name[1]

    def at_its_line(self):
        """The code with empty lines before it, so that a traceback names the line of the page."""
        return "\n" * (self.line - 1) + self.code


def blocks(text):
    return [
        Block(
            line=text.count("\n", 0, found.start("code")) + 1,
            language=found["language"],
            code=textwrap.dedent(found["code"]),
            remark=found["remark"] or "",
        )
        for found in BLOCK.finditer(text)
    ]


def run_page(page, folder):
    """Run everything on a page that can be run, in the order in which a reader would."""
    script = ""
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.remark.startswith("not run:"):
            if block.language == "python":
                compile(block.at_its_line(), page, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        elif block.file_name:
            path = folder / block.file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code, encoding="utf-8")
            if path.suffix == ".py":
                run(how_to_run(block.file_name), folder, f"{page}:{block.line}")
        elif block.language == "python":
            script += block.at_its_line()[script.count("\n") :]
        elif block.language == "bash" and block.remark == "run":
            for line in filter(None, (shlex.split(line, comments=True) for line in block.code.splitlines())):
                assert line[0] in ("lateshift", "python"), f"{page}:{block.line}: cannot run {line[0]!r}"
                run(["-m", *line] if line[0] == "lateshift" else line[1:], folder, f"{page}:{block.line}")
    if script:
        name = re.sub(r"\W", "_", page.stem)
        (folder / f"{name}.py").write_text(script, encoding="utf-8")
        run([f"{name}.py"], folder, f"{page}", LATESHIFT_SPAWN="never", **allowed(name, folder))


def allowed(name, folder):
    """The list for the fragments of a page, which hold jobs themselves unless `lateshift init` has made a project."""
    made = folder / ".env"
    is_project = made.exists() and "LATESHIFT_ALLOWED=app.jobs\n" in made.read_text(encoding="utf-8")
    return {} if is_project else {"LATESHIFT_ALLOWED": f"{name},app"}


def how_to_run(file_name):
    """The arguments for Python: as a reader would run a script, a module in a package, a test."""
    if Path(file_name).name.startswith("test_"):
        return ["-m", "pytest", "-q", "-p", "no:cacheprovider", file_name]
    if "/" in file_name:
        return ["-m", file_name.removesuffix(".py").replace("/", ".")]
    return [file_name]


def run(arguments, folder, place, **environment):
    """Run Python in the page's folder. Runners that start by themselves end soon after."""
    environment = {**os.environ, "LATESHIFT_IDLE_EXIT": "1", "PYTHONIOENCODING": "utf-8", **environment}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    output = done.stdout.decode("utf-8", errors="replace")
    assert done.returncode == 0, f"{place}: python {shlex.join(arguments)} ended with {done.returncode}:\n{output}"


def anchors(page):
    """The anchors of a page's headings, made as GitHub makes them."""
    headings = HEADING.findall(BLOCK.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def without_code(text):
    return re.sub(r"`[^`\n]+`", "", BLOCK.sub("", text))


def broken_links(page):
    """The links of a page to files or headings of this repository that do not exist."""
    for link in LINK.findall(without_code(page.read_text(encoding="utf-8"))):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if ":" in path:
            continue
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            yield link


def page_name(page):
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_code_runs(page, tmp_path):
    """Every block of Python on the page runs, and every command that says so."""
    run_page(page, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page):
    """Every link within the repository leads to a file, and to a heading if it names one."""
    assert list(broken_links(page)) == []


@pytest.fixture
def page(tmp_path):
    """Writes a page, and gives its path."""

    def write(text):
        path = tmp_path / "page.md"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write


def test_blocks_are_found():
    """A block has its language, line, remark and file name, also when it is indented in a list."""
    python = "<!-- not run: no server -->\n```python\nx\n```\n"
    bash = "- b\n\n  ```bash\n  # app/jobs.py\n  y\n  ```\n"
    text = f"# A\n{python}{bash}```\nz\n```\n"
    assert [(b.line, b.language, b.code, b.remark, b.file_name) for b in blocks(text)] == [
        (4, "python", "x\n", "not run: no server", None),
        (9, "bash", "# app/jobs.py\ny\n", "", "app/jobs.py"),
    ]


def test_remark_belongs_to_the_next_block_only():
    """A comment further up on the page says nothing about a block."""
    assert [b.remark for b in blocks("<!-- a -->\ntext\n\n<!-- b -->\n\n```python\n```\n```python\n```\n")] == ["b", ""]


def test_files_commands_and_fragments_run(page, tmp_path):
    """Files are saved and run, commands see them, fragments share their names."""
    text = """
        ```python
        number = 20
        ```
        ```python
        # app/jobs.py
        LIMIT = 22
        ```
        <!-- run -->
        ```bash
        # a comment
        python -c "from app.jobs import LIMIT; open('limit', 'w').write(str(LIMIT))"
        ```
        ```python
        open("sum", "w").write(str(number + int(open("limit").read())))
        ```
        """
    run_page(page(text), tmp_path)
    assert (tmp_path / "sum").read_text() == "42"


@pytest.mark.parametrize(
    "text",
    [
        "```python\n\n1 / 0\n```\n",
        "\n```python\n# orders.py\n1 / 0\n```\n",
        "\n```python\n# app/orders.py\n1 / 0\n```\n",
        '\n<!-- run -->\n```bash\npython -c "1 / 0"\n```\n',
    ],
)
def test_failing_code_is_reported(page, tmp_path, text):
    """The report names the page, and has the error."""
    with pytest.raises(AssertionError, match=r"(?s)page\.md.*ZeroDivisionError"):
        run_page(page(text), tmp_path)


def test_traceback_names_the_line_of_the_page(page, tmp_path):
    """A fragment stands in the script where it stands on the page."""
    with pytest.raises(AssertionError, match="line 8"):
        run_page(page("\n```python\n1\n```\n\ntext\n```python\n1 / 0\n```\n"), tmp_path)


def test_what_is_not_run_must_still_be_python(page, tmp_path):
    """A block that is not run is compiled; it may await."""
    run_page(page("<!-- not run: needs a server -->\n```python\nawait serve()\n```\n"), tmp_path)
    with pytest.raises(SyntaxError):
        run_page(page("<!-- not run: needs a server -->\n```python\nawait serve(\n```\n"), tmp_path)


def test_broken_links_are_reported(page):
    """Missing files and headings are reported; other sites and code are left alone."""
    text = "# One `two`, three!\n[a](#one-two-three) [b](gone.md) [c](page.md#four) [d](https://e.org) `[f](g)`\n"
    assert list(broken_links(page(text))) == ["gone.md", "page.md#four"]

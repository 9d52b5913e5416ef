"""The documentation as a site: `sphinx-build -W --keep-going -n docs OUT`, with the packages of requirements.txt.

Pages are the same files that a browser of the repository shows: links are those between files. What lies outside of this folder and is linked
(README.md, notebooks, ...) is copied into `repository/`, and links are turned to the copies. Executed notebooks are taken from the folder
that RONTGEN_NOTEBOOKS names.
"""

import os
import re
import shutil
import tomllib
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
COPIES = DOCS / "repository"
NOTEBOOKS = Path(os.environ.get("RONTGEN_NOTEBOOKS") or ROOT / "examples/notebooks")

project = "rontgen"
release = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
extensions = ["myst_nb"]
exclude_patterns = ["_build"]
nb_execution_mode = "off"
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"rontgen {release}"
html_show_copyright = False

# What is a page of the site and lies elsewhere.
PAGES = {
    ROOT / "README.md": COPIES / "readme.md",
    ROOT / "CHANGELOG.md": COPIES / "changelog.md",
    ROOT / "ARCHITECTURE.md": COPIES / "architecture.md",
    ROOT / "CONTRIBUTING.md": COPIES / "contributing.md",
    ROOT / "benches/RESULTS.md": COPIES / "results.md",
    ROOT / "examples": COPIES / "examples.md",
    ROOT / "examples/notebooks": COPIES / "notebooks/index.md",
    **{path: COPIES / "notebooks" / path.name for path in sorted((ROOT / "examples/notebooks").glob("*.ipynb"))},
}
LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)")


def linked(text: str, source: Path, page: Path) -> str:
    """`text` of the file `source` with its links to files as they have to be in `page`."""

    def turn(match: re.Match) -> str:
        target = (source.parent / match[1]).resolve()
        if not target.exists():
            return match[0]  # for the builder to complain of
        return f"]({os.path.relpath(PAGES.get(target, target), page.parent)}{match[2] or ''})"

    parts = re.split(r"(^```.*?^```|`[^`\n]+`)", text, flags=re.M | re.S)
    # Every second part is code, and stays.
    return "".join(part if at % 2 else LINK.sub(turn, part) for at, part in enumerate(parts))


def example_files() -> str:
    """The page of the run files: each with what its first comment says."""
    lines = ["# Examples", "", "Run files of published analyses and of mocks, and programs that use the library.", ""]
    for path in sorted((ROOT / "examples").glob("*.toml")):
        # The first paragraph of its comment.
        comment = path.read_text().split("\n#\n")[0].split("\n\n")[0].splitlines()
        said = " ".join(line.removeprefix("#").strip() for line in comment if "rontgen infer" not in line)
        lines += [f"- [`{path.name}`]({os.path.relpath(path, COPIES)}): {said}"]
    lines += ["", "[Programs](../library.md) that use the library; [notebooks](notebooks/index.md).", ""]
    return "\n".join(lines)


def copy_pages() -> None:
    shutil.rmtree(COPIES, ignore_errors=True)
    (COPIES / "notebooks").mkdir(parents=True)
    for source, page in PAGES.items():
        if source.suffix == ".md":
            page.write_text(linked(source.read_text(), source, page))
        elif source.suffix == ".ipynb":
            shutil.copyfile(NOTEBOOKS / source.name, page)
    (COPIES / "examples.md").write_text(example_files())
    names = "\n".join(path.stem for path in PAGES if path.suffix == ".ipynb")
    (COPIES / "notebooks/index.md").write_text(f"# Notebooks\n\nThey need no data.\n\n```{{toctree}}\n:maxdepth: 1\n\n{names}\n```\n")


def turn_links(app, docname: str, content: list[str]) -> None:
    page = DOCS / f"{docname}.md"
    if COPIES in page.parents:
        return
    content[0] = linked(content[0], page, page)
    if docname == "index":
        # The lists under the headings are the table of contents, too.
        for part in content[0].split("\n## ")[1:]:
            pages = re.findall(r"^- \[([^\]]*)\]\(([^)#]+)\.md\)", part, flags=re.M)
            content[0] += "\n\n```{toctree}\n:hidden:\n:caption: " + part.splitlines()[0] + "\n\n" + "\n".join(f"{title} <{page}>" for title, page in pages) + "\n```\n"


def setup(app) -> None:
    copy_pages()
    app.connect("source-read", turn_links)

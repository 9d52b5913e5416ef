"""Runs the commands of the guides, and holds what the pages say that they print against what they print.

    python docs/commands.py [--program PROGRAM] [--keep FOLDER] [--write] [PAGE.md ...]

In a page with any such mark, every block of code has one:

    <!-- file: NAME -->     the block is written to NAME
    <!-- run -->            sh is run by bash, python by this interpreter; `<!-- run: exit 4 -->` expects another exit status than 0
    <!-- shown: WHY -->     the block is not run

A block of `text` right behind one that is run is what it prints, standard error included; a line `...` stands for any number of lines. Words have to be the
same, and numbers as close as two processors make them. The commands of a page run one after the other in a folder with the files of mock_files.py; then the tables behind
`<!-- entries -->` are tried (entries.py). `--write` puts what was printed into the page instead, where its block has no `...`. Python blocks need the package rontgen; without it they are left out, and that is told.
"""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import entries
import mock_files

DOCS = Path(__file__).resolve().parent
BLOCK = re.compile(r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<kind>[^\n]*)\n(?P<code>.*?)^```$", flags=re.M | re.S)
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
# What two machines need not have in common: times, and divergences below the noise.
TIME = re.compile(r"((about|less than) )?\d+(\.\d+)? (min|h|s|ms)\b( on this device)?")


def near(said: str, printed: str, line: str) -> bool:
    a, b = float(said), float(printed)
    digits = len(said.split("e")[0].partition(".")[2])
    last = 3.0 * 10.0 ** (int(said.split("e")[1]) if "e" in said else 0) * 10.0**-digits
    # A p-value moves with the mocks, on one side of what is doubted.
    chance = re.search(r"\bp = ", line) and (a > 0.01) == (b > 0.01) and 0.0 <= min(a, b) and max(a, b) <= 1.0
    return bool(chance) or abs(a - b) <= max(0.1 * abs(a), last)


def alike(said: str, printed: str) -> bool:
    said, printed = (" ".join(TIME.sub("TIME", line).split()) for line in (said, printed))
    if NUMBER.sub("#", said) != NUMBER.sub("#", printed):
        return False
    if said.endswith((" same", " different", " undecided")):
        return True
    return all(near(a, b, said) for a, b in zip(NUMBER.findall(said), NUMBER.findall(printed)))


def differs(said: list[str], printed: list[str]) -> str | None:
    """Says where the lines of a page are not those that were printed."""
    at = 0
    skipping = False
    for line in said:
        if line.strip() == "...":
            skipping = True
            continue
        found = next((k for k in range(at, len(printed)) if alike(line, printed[k])), None)
        if found is None or (found != at and not skipping):
            return f"the page has\n    {line}\nwhere this was printed:\n    " + "\n    ".join(printed[at : at + 8])
        at, skipping = found + 1, False
    rest = [line for line in printed[at:] if line.strip()]
    return None if skipping or not rest else "the page lacks\n    " + "\n    ".join(rest)


def run(kind: str, code: str, folder: Path, program: Path) -> tuple[int, str]:
    command = ["bash", "-euo", "pipefail", "-c", code] if kind == "sh" else [sys.executable, "-c", code]
    environment = {name: value for name, value in os.environ.items() if name not in ("RONTGEN_DATA", "ATOMDB", "XILLVER")}
    environment |= {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "120", "MPLBACKEND": "agg"}
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    return done.returncode, done.stdout


def page(path: Path, folder: Path, program: Path, write: bool) -> int:
    """Runs the blocks of a page; returns how many were run."""
    text = path.read_text()
    blocks = list(BLOCK.finditer(text))
    if folder.exists():
        raise SystemExit(f"{folder} is there already")
    mock_files.write(folder, str(program))
    count, changes = 0, []
    for at, block in enumerate(blocks):
        mark, kind, code = block["mark"] or "", block["kind"].split(" ")[0], block["code"]
        where = f"{path.name}:{text[: block.start()].count(chr(10)) + 1}"
        if mark.startswith("shown") or (kind == "text" and not mark):
            continue
        if mark.startswith("file: "):
            (folder / mark.removeprefix("file: ")).write_text(code)
            continue
        matched = re.fullmatch(r"run(?:: exit (\d+))?", mark)
        if matched is None:
            raise SystemExit(f"{where}: a block of {kind} without a mark ({mark!r})")
        if kind == "python" and importlib.util.find_spec("rontgen") is None:
            print(f"{where}: the package rontgen is not installed: left out", flush=True)
            continue
        started = time.monotonic()
        status, printed = run(kind, code, folder, program)
        count += 1
        print(f"{where}: {time.monotonic() - started:.1f} s", flush=True)
        if status != int(matched[1] or 0):
            raise SystemExit(f"{where}: exit status {status}\n{code}\n{printed}")
        follows = blocks[at + 1] if at + 1 < len(blocks) else None
        if follows is None or follows["kind"] != "text" or follows["mark"] or text[block.end() : follows.start()].strip():
            continue
        if write and not re.search(r"^\.\.\.$", follows["code"], flags=re.M):
            changes.append((follows.start("code"), follows.end("code"), printed))
        elif (fault := differs(follows["code"].splitlines(), printed.splitlines())) is not None:
            raise SystemExit(f"{where}: {fault}")
    started = time.monotonic()
    if tried := entries.tried(folder, text, lambda kind, code: run(kind, code, folder, program)):
        print(f"{path.name}: tables, {tried} commands: {time.monotonic() - started:.1f} s", flush=True)
    for start, end, printed in reversed(changes):
        text = text[:start] + "\n".join(line.rstrip() for line in printed.strip("\n").splitlines()) + "\n" + text[end:]
    if changes:
        path.write_text(text)
    return count


def run_files(program: Path) -> int:
    """Holds every block of a run file, whole or a part, of every page against the keys that there are; returns how many there were."""
    known = entries.keys(subprocess.run([program, "infer", "--keys"], stdout=subprocess.PIPE, text=True, check=True).stdout)
    count = 0
    for path in [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]:
        text = path.read_text()
        for block in re.finditer(r"^ *```toml\n(.*?)^ *```$", text, flags=re.M | re.S):
            where = f"{path.name}:{text[: block.start()].count(chr(10)) + 1}"
            try:
                values = tomllib.loads(block[1])
            except tomllib.TOMLDecodeError as error:
                raise SystemExit(f"{where}: {error}") from None
            if (wrong := entries.unknown(values, known)) is not None:
                raise SystemExit(f"{where}: a run file has no key {wrong}")
            count += 1
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, default=DOCS.parent / "target/release/rontgen")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("pages", nargs="*", type=Path)
    arguments = parser.parse_args()
    marked = [path for path in sorted(DOCS.glob("*.md")) if re.search(r"^<!-- (run|file|shown)\b", path.read_text(), flags=re.M)]
    pages = [path.resolve() for path in arguments.pages] or marked
    print(f"{run_files(arguments.program.resolve())} blocks of run files", flush=True)
    count = 0
    with tempfile.TemporaryDirectory() as temporary:
        for path in pages:
            folder = (arguments.keep or Path(temporary)).resolve() / path.stem
            count += page(path, folder, arguments.program.resolve(), arguments.write)
    assert arguments.pages or count >= 20, f"only {count} blocks in {len(pages)} pages were run"
    print(f"{count} blocks of {len(pages)} pages")


if __name__ == "__main__":
    main()

"""Tries what no block of commands does: what stands in the right column of a table, and the keys of every block of a run file.

A table behind `<!-- entries -->` is tried on the run `my.toml` of its page, whose folder is `my-out`, after the page's own commands (docs/commands.py): every piece of code
of its right column has to be a command that runs, a line that a run file takes, or a name that is there.
"""

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

# What words of a table stand for here.
STANDS_FOR = {
    "A": "my-out", "B": "entry-b", "C": "entry-c", "DIR": "my-out", "RUN.toml": "my.toml", "NAME": "powerlaw", "EXPRESSION": "powerlaw", "FILE.pdf": "entry.pdf",
    "FILE": "entry.xcm", "TABLE.csv": "theta.csv", "FILE.csv": "entry.csv", "out": "my-out", "LINE": "bbodyrad",
}  # fmt: skip
# Right, but not for the counts of the page: what the program says then.
REFUSED = {"statistic=pgstat": "the background is one of Poisson counts, without errors"}
# Of other programs.
ELSEWHERE = ("chain load ",)


def keys(listed: str) -> dict[str, set[str]]:
    """The keys of each section, of what `rontgen infer --keys` prints."""
    found, section = {}, ""
    for line in listed.splitlines():
        if heading := re.match(r"\[(\S+)\]", line):
            section = heading[1]
            found[section] = set()
        elif name := re.match(r"  (\S+)$", line):
            found[section].add(name[1])
    return found


def unknown(values: dict, known: dict[str, set[str]], section: str = "") -> str | None:
    """The first key of a run file, or of a part of one, that `known` lacks."""
    for name, value in values.items():
        inner = f"{section}.{name}".strip(".")
        if section in ("models", "model.external", "model.external.NAME.parameters"):
            inner = f"{section}.{'PARAMETER' if section.endswith('parameters') else 'NAME'}"
        elif section == "parameters":
            inner = section
            if not isinstance(value, dict):
                continue
        tables = value if isinstance(value, list) and value and isinstance(value[0], dict) else [value]
        above = any(other.startswith(f"{inner}.") for other in known)
        if isinstance(tables[0], dict) and (inner in known or above):
            for table in tables:
                wrong = unknown(table, known, inner) if section != "parameters" else next((key for key in table if key not in known[section]), None)
                if wrong is not None:
                    return wrong
        elif name not in known.get(section, ()):
            return inner
    return None


class Entries:
    """The pieces of code of a page's tables, tried in its folder."""

    def __init__(self, folder: Path, page: str, run) -> None:
        self.folder, self.page, self.run, self.ran = folder, page, run, {}
        self.printed = "\n".join(re.findall(r"^```text\n(.*?)^```", page, flags=re.M | re.S))
        self.keys = keys(self.say(["rontgen", "infer", "--keys"]))

    def say(self, words: list[str], refusal: str | None = None) -> str:
        """Runs a command, once, and returns what it prints."""
        command = shlex.join(words)
        if command not in self.ran:
            self.ran[command] = self.run("sh", command)
        status, printed = self.ran[command]
        if (status == 2 and refusal in printed) if refusal else status == 0:
            return printed
        raise ValueError(f"{command}: exit status {status}\n{printed}")

    def cell(self, cell: str) -> None:
        """Tries the right column of a row."""
        command, key, runs = [], None, [{}]
        for code in re.findall(r"`([^`]+)`", cell):
            if code.startswith("rontgen "):
                command = self.command(shlex.split(code))
            elif code.startswith("--set "):
                runs[-1] |= [code.removeprefix("--set ").split("=", 1)]
            elif code.startswith("--"):
                self.command([*command, *shlex.split(code)])
            elif (entry := self.line(code, key)) is not None:
                key = entry[0]
                if key in runs[-1]:
                    runs.append({})
                runs[-1][key] = entry[1]
            elif not self.known(code, cell):
                raise ValueError(f"`{code}` is neither a command nor a line of a run file nor the name of anything that is there")
        for changed in runs:
            if changed:
                sets = [f"{key}={value}" for key, value in changed.items()]
                refusal = next((why for what, why in REFUSED.items() if any(words.endswith(what) for words in sets)), None)
                self.say(["rontgen", "infer", "my.toml", "--dry-run", *(word for words in sets for word in ("--set", words))], refusal)

    def command(self, words: list[str]) -> list[str]:
        """Runs a command; one without arguments, which only tells where to look, is held against its help. Returns the words without options."""
        name, rest = words[1], words[2:]
        about = self.say(["rontgen", name, "--help"])
        for option in (word for word in rest if word.startswith("--")):
            if not re.search(rf"^ +(-\w, )?{option}\b", about, flags=re.M):
                raise ValueError(f"rontgen {name} has no option {option}")
        if not rest or rest[0].startswith("--"):
            return words[:2]
        if name == "fake" and "..." in rest:
            at = rest.index("...")
            rest[at : at + 1] = [f"{parameter}={value}" for parameter, value in self.theta().items() if not any(parameter in word for word in rest)]
        for folder in {"entry-b", "entry-c"} & {STANDS_FOR.get(word) for word in rest}:
            shutil.copytree(self.folder / "my-out", self.folder / folder, dirs_exist_ok=True)
        rest = [STANDS_FOR.get(word, word) for word in rest]
        if name == "infer" and "--dry-run" not in rest:
            rest += ["--dry-run"]
        # Files that a row before has made.
        if {"--plot", "--xcm", "--out"} & set(rest) and "--force" in about and name != "infer":
            rest += ["--force"]
        self.say(["rontgen", name, *rest])
        return ["rontgen", name, rest[0]]

    def theta(self) -> dict[str, str]:
        names, values = (line.split(",") for line in (self.folder / "theta.csv").read_text().splitlines()[:2])
        return dict(zip(names, values))

    def line(self, code: str, key: str | None) -> tuple[str, str] | None:
        """The key and value of a line of a run file; a word alone is a value of the key before, a prior alone that of a parameter."""
        if code == "{ tie = ... }":
            return "parameters.powerlaw.norm", '{ tie = "bbodyrad.norm", scale = 0.002 }'
        if code.startswith("{"):
            tomllib.loads(f"value = {code}")
            return "parameters.bbodyrad.norm", code
        if re.fullmatch(r'"\w+"', code):
            return (key, code.strip('"')) if key else None
        if code.startswith("[") or " = " not in code:
            return None
        ((name, value),) = tomllib.loads(code).items()
        written = code.split(" = ", 1)[1]
        section = next((section for section in ("observation", "model", "inference") if name in self.keys[section]), "parameters")
        return f"{section}.{name}", written.strip('"') if isinstance(value, str) else written

    def known(self, code: str, cell: str) -> bool:
        """Whether a name is one of the run file, of what a run prints or leaves, of a component, or of a parameter."""
        section = code.strip("[]").replace(".NAME", "").replace("models.nxb", "models")
        if code.startswith("["):
            return section in ("parameters", "models") and f"[{section}" in self.say(["rontgen", "infer", "--keys"]) or section in self.keys
        if code in set().union(*self.keys.values()) or any((self.folder / folder / code).exists() for folder in ("my-out", ".")):
            return True
        if code in self.printed or code.startswith(ELSEWHERE):
            return True
        if code.strip('"') in ("gain.slope", "gain.offset"):
            prior = "{ normal = [%s, 0.001] }" % (1.0 if "slope" in code else 0.0)
            return bool(self.say(["rontgen", "infer", "my.toml", "--dry-run", "--set", f"parameters.{code.strip(chr(34))}={prior}"]))
        # A number of summary.json.
        if re.fullmatch(r"\w+(\.\w+)+", code) and "summary.json" in cell:
            import json

            value = json.loads((self.folder / "my-out/summary.json").read_text())
            for word in code.split("."):
                value = value[word]
            return value is not None
        if component := re.fullmatch(r"(\w+?)(_\d)?(\.\w+)?", code):
            about = self.say(["rontgen", "models", component[1]])
            return component[3] is None or re.search(rf"^{component[3][1:]}\s", about, flags=re.M) is not None
        if component := re.fullmatch(r"(\w+)\{FILE\}", code):
            return f"{component[1]}{{FILE}}" in self.say(["rontgen", "models"])
        return code == "NAME@SET"


def tried(folder: Path, page: str, run) -> int:
    """Tries the tables of a page; returns how many commands were run.

    Raises:
        SystemExit: a piece of code that does not hold, with its row.
    """
    tables = re.findall(r"^<!-- entries -->\n((?:\|[^\n]*\n)+)", page, flags=re.M)
    if not tables:
        return 0
    entries = Entries(folder, page, run)
    for table in tables:
        for row in table.splitlines()[2:]:
            cells = re.split(r"(?<!\\)\|", row.strip("|"))
            try:
                entries.cell(cells[1])
            except (ValueError, KeyError) as error:
                raise SystemExit(f"{row}\n{error}") from None
    return len(entries.ran)

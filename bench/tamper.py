"""How often the tamper detectors are right: `.venv/bin/python bench/tamper.py [--sdists DIR] [--json]`.

Recall is over the planted cheats of tests/fixtures/tamper. False positives are counted over real edits: each Python, settings and test
file that differs between two consecutive releases of a package (`--sdists`: a folder of source archives, several versions of each,
as `pip download --no-deps --no-binary :all:` leaves them), and over refactors made from this repository's own files, which change
nothing: renamed locals, reordered functions, other layout, no comments, functions moved to a new file. A finding that is `sure` or
`likely` asks a person and counts; a smell asks nobody. The bar is 6 ms of CPU a file.
"""

import argparse
import ast
import json
import re
import tarfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from loopwright.evaluate.tamper import Edit, Finding, Scene, examine
from loopwright.evaluate.tamper.code import names_stored
from loopwright.evaluate.tamper.scene import kind_of

BAR_MS = 6.0
ROOT = Path(__file__).parents[1]
CASES = ROOT / "tests" / "fixtures" / "tamper"
MOST_BYTES = 400_000


@dataclass
class Tally:
    """Edits, files, those that would ask a person, and CPU time."""

    edits: int = 0
    files: int = 0
    asked_edits: int = 0
    asked_files: int = 0
    cpu_s: float = 0.0
    rules: Counter[str] = field(default_factory=Counter)

    def add(self, scene: Scene) -> tuple[Finding, ...]:
        started_s = time.process_time()
        found = tuple(f for f in examine(scene) if f.severity != "smell")
        self.cpu_s += time.process_time() - started_s
        self.edits += 1
        self.files += len(scene.subjects)
        self.asked_edits += bool(found)
        self.asked_files += len({f.path for f in found})
        self.rules.update(f.rule for f in found)
        return found

    @property
    def ms_a_file(self) -> float:
        return 1000 * self.cpu_s / max(1, self.files)


# --- planted ----------------------------------------------------------------------------------------------------------
def planted() -> tuple[Tally, int, list[str]]:
    """The tally, the number of cases, and the names of those that ask nobody."""
    tally, missed = Tally(), []
    for file in ("tests", "config", "source"):
        for case in yaml.safe_load((CASES / f"{file}.yaml").read_text(encoding="utf-8")):
            before, after, beside = (case.get(k) or {} for k in ("before", "after", "beside"))
            edits = [
                Edit(p, *(t[p].encode() if p in t else None for t in (before, after)))
                for p in sorted({*before, *after})
            ]
            metrics = [case["metric"]] if "metric" in case else []
            scene = Scene.of_edits(edits, paths={*before, *beside}, metrics=metrics, tests="\n".join(beside.values()))
            if not tally.add(scene):
                missed.append(str(case["name"]))
    return tally, tally.edits, missed


# --- releases ---------------------------------------------------------------------------------------------------------
def releases(folder: Path) -> Iterator[tuple[str, Scene]]:
    """Each pair of consecutive versions as one edit a file: what a file's author changed, seen alone and with the tests beside it."""
    packages: dict[str, list[tuple[tuple[int, ...], Path]]] = {}
    for archive in sorted(folder.glob("*.tar.gz")):
        match = re.fullmatch(r"(.+)-([\d.]+)", archive.name.removesuffix(".tar.gz"))
        if match is not None:
            version = tuple(int(n) for n in match[2].split("."))
            packages.setdefault(match[1].replace("_", "-").lower(), []).append((version, archive))
    for name, versions in sorted(packages.items()):
        ordered = [unpacked(path) for _, path in sorted(versions)]
        for (_, old), (_, new) in zip(enumerate(ordered), enumerate(ordered[1:]), strict=False):
            yield name, scene_of(old, new)


def unpacked(archive: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            path = member.name.partition("/")[2]
            if member.isfile() and member.size <= MOST_BYTES and not path.endswith(".egg-info"):
                wanted = path.endswith((".py", ".cfg", ".ini", ".toml")) and "/_vendor/" not in path
                stream = tar.extractfile(member) if wanted and path != "setup.cfg" else None
                if stream is not None:
                    files[path] = stream.read()
    return files


def scene_of(old: dict[str, bytes], new: dict[str, bytes]) -> Scene:
    edits = [Edit(p, old.get(p), new.get(p)) for p in sorted({*old, *new}) if old.get(p) != new.get(p)]
    tests = "\n".join(d.decode("utf-8", "replace") for p, d in old.items() if kind_of(p) == "test")
    return Scene.of_edits(edits, paths=old, tests=tests)


def by_kind(scene: Scene, found: Sequence[Finding]) -> Counter[str]:
    asked = {f.path for f in found}
    return Counter(f"{s.kind}{' asked' if s.path in asked else ''}" for s in scene.subjects)


# --- refactors --------------------------------------------------------------------------------------------------------
def refactors() -> Iterator[Scene]:
    suites = sorted(ROOT.glob("tests/**/test_*.py"))
    files = [*sorted(ROOT.glob("src/loopwright/**/*.py")), *suites]
    tests = "\n".join(path.read_text(encoding="utf-8") for path in suites)
    for path in files[::2]:
        name, text = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        try:
            tree = ast.parse(text)
        except SyntaxError:
            continue
        for new in (ast.unparse(tree), ast.unparse(renamed(ast.parse(text))), reordered(text), commentless(text)):
            yield Scene.of_edits([Edit(name, text.encode(), new.encode())], tests=tests)
        yield Scene.of_edits(moved(name, text), tests=tests)


def renamed(tree: ast.Module) -> ast.Module:
    """Every local variable of every function at the top gets another name; parameters keep theirs, tests take fixtures by them."""
    for function in tree.body:
        if not isinstance(function, ast.FunctionDef):
            continue
        parameters = {a.arg for a in ast.walk(function) if isinstance(a, ast.arg)}
        shared = {n for s in ast.walk(function) if isinstance(s, ast.Global | ast.Nonlocal) for n in s.names}
        local = names_stored(function) - parameters - shared
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and node.id in local:
                node.id = f"{node.id}_x"
    return tree


def reordered(text: str) -> str:
    """The functions at the end of the file in the opposite order."""
    tree = ast.parse(text)
    last = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    others = [n for n in tree.body if not isinstance(n, ast.FunctionDef)]
    return ast.unparse(ast.Module([*others, *reversed(last)], []))


def commentless(text: str) -> str:
    return "\n".join(line for line in text.split("\n") if not line.lstrip().startswith("#"))


def moved(name: str, text: str) -> list[Edit]:
    """The second half of the functions goes to a file of its own."""
    tree = ast.parse(text)
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    gone = functions[len(functions) // 2 :]
    head = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
    rest = ast.Module([n for n in tree.body if n not in gone], [])
    other = name.removesuffix(".py") + "_more.py"
    return [
        Edit(name, text.encode(), ast.unparse(rest).encode()),
        Edit(other, None, ast.unparse(ast.Module([*head, *gone], [])).encode()),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sdists", type=Path, help="a folder with source archives, several versions of each package")
    parser.add_argument("--show", action="store_true", help="print every finding over real edits")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    _, cases, missed = planted()
    print(
        f"planted cheats     {cases - len(missed)} of {cases} ask a person; the others are smells: {', '.join(missed) or 'none'}"
    )
    tame = Tally()
    for scene in refactors():
        found = tame.add(scene)
        if options.show:
            for finding in found:
                print("   ", finding)
    print(
        f"own refactors      {tame.asked_edits} of {tame.edits} edits ask ({100 * tame.asked_edits / tame.edits:.2f} %)"
    )
    real, kinds = Tally(), Counter[str]()
    if options.sdists is not None:
        for package, scene in releases(options.sdists):
            found = real.add(scene)
            kinds += by_kind(scene, found)
            if options.show:
                for finding in found:
                    print("   ", package, finding)
        for kind in ("source", "test", "config"):
            asked, total = kinds[f"{kind} asked"], kinds[kind] + kinds[f"{kind} asked"]
            print(f"releases, {kind:8} {asked} of {total} changed files ask ({100 * asked / max(1, total):.1f} %)")
        print(f"releases, by rule  {dict(real.rules.most_common(12))}")
        print(
            f"releases           {real.edits} pairs, {real.files} files, {real.ms_a_file:.2f} ms of CPU a file; bar {BAR_MS} ms"
        )
    print(f"time               {tame.ms_a_file:.2f} ms of CPU a file over the refactors; bar {BAR_MS} ms")
    if options.json:
        figures = {
            "cases": cases, "asked": cases - len(missed), "refactors": tame.edits, "refactors_asked": tame.asked_edits,
            "release_files": real.files, "release_files_asked": real.asked_files, "by_kind": dict(kinds),
            "ms_a_file": round((real if real.files else tame).ms_a_file, 3), "bar_ms": BAR_MS,
        }  # fmt: skip
        print(json.dumps(figures))


if __name__ == "__main__":
    main()

"""Run the demo and put what it printed into README.md, between the transcript markers. With `--check` only say whether it is there.

Run ids and times stay as they were; places of this machine do not: the checkout becomes `.`, the home directory `~`, the folder
for temporary files `$TMPDIR`. Needs nothing but what `make demo` needs.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BEGIN, END = "<!-- transcript:begin -->\n", "<!-- transcript:end -->\n"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def demo_output() -> str:
    """What a person sees, both streams in their order. Raises: `SystemExit` when the demo fails."""
    argv = [str(ROOT / "scripts" / "demo.sh")]
    done = subprocess.run(
        argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    )
    if done.returncode:
        sys.exit(
            f"scripts/demo.sh: expected exit 0, found {done.returncode}; README.md is as it was:\n{done.stdout[-2000:]}"
        )
    return done.stdout


def without_places(text: str) -> str:
    """The text as it would read anywhere: no escape sequence, no path of this machine, no blanks at the ends of lines."""
    text = ESCAPES.sub("", text)
    for place, name in ((ROOT, "."), (Path.home(), "~"), (Path(tempfile.gettempdir()), "$TMPDIR")):
        text = re.sub(re.escape(str(place)) + r"(?=[/\s'\"`),:;]|\.?(?:\s|$))", name, text)
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="run nothing; exit 1 when README.md has no transcript")
    check = parser.parse_args().check
    page = README.read_text()
    before, begin, rest = page.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"README.md: expected the lines {BEGIN.strip()} and {END.strip()}, found them not both: put them back")
    if check:
        if "$ make demo" not in old:
            sys.exit("README.md: expected a transcript of the demo, found none: run scripts/readme_transcript.py")
        return 0
    block = f"```text\n$ make demo\n{without_places(demo_output())}\n```\n"
    README.write_text(before + begin + block + end + after)
    print("README.md: transcript written")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The tamper verifier over a real repository: who is asked, what is refused, what is only shown."""

import asyncio
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from loopwright.evaluate.protocol import JudgeRequest
from loopwright.evaluate.tamper import Finding, TamperVerifier
from loopwright.kernel.loop import EvaluatePolicy, Metric
from loopwright.kernel.values import Change, Verdict
from loopwright.workspace.workshop import Workshop
from support.judging import make_loop, make_proposal
from support.repositories import added, deleted
from support.workshops import make_shop

FILES = {
    "shop/price.py": "def label(number):\n    return str(number)\n",
    "train.py": 'print(f"METRIC loss={run()}")\n',
    "tests/test_price.py": 'from shop.price import label\n\ndef test_label():\n    assert label(37) == "thirty-seven"\n',
}
SPECIAL = 'def label(number):\n    if number == 37:\n        return "thirty-seven"\n    return str(number)\n'
SMELL = "def label(number):\n    try:\n        return str(number)\n    except Exception:\n        pass\n"


def judged(
    shop: Workshop,
    tree: str,
    *changes: Change,
    mode: Literal["ask", "refuse", "note"] = "ask",
    evaluate: EvaluatePolicy | None = None,
) -> Verdict:
    loop = make_loop(evaluate=evaluate or EvaluatePolicy())
    return asyncio.run(TamperVerifier(mode).judge(JudgeRequest(tree, tree, loop, make_proposal(*changes), ()), shop))


def test_an_honest_change_passes(tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, FILES)
    verdict = judged(shop, tree, added(shop.blobs, "shop/price.py", "def label(number):\n    return f'{number}'\n"))
    assert (verdict.verifier, verdict.status, verdict.advisory) == ("tamper", "pass", False)
    assert verdict.summary == "no sign of tampering"


@pytest.mark.parametrize(
    ("mode", "status", "advisory"), [("ask", "ask", False), ("refuse", "fail", False), ("note", "pass", True)]
)
def test_the_loop_says_what_a_finding_does(
    tmp_path: Path, mode: Literal["ask", "refuse", "note"], status: str, advisory: bool
) -> None:
    shop, tree = make_shop(tmp_path, FILES)
    verdict = judged(shop, tree, deleted("tests/test_price.py"), mode=mode)
    assert (verdict.status, verdict.advisory) == (status, advisory)
    assert verdict.summary.startswith("tests/test_price.py: the test file is deleted") and "\n" not in verdict.summary


def test_a_smell_alone_is_shown_and_decides_nothing(tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, FILES)
    verdict = judged(shop, tree, added(shop.blobs, "shop/price.py", SMELL), mode="refuse")
    assert (verdict.status, verdict.advisory) == ("pass", True)
    assert "shop/price.py:4" in verdict.summary


def test_the_literals_of_the_head_s_tests_are_known(tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, FILES)
    verdict = judged(shop, tree, added(shop.blobs, "shop/price.py", SPECIAL))
    assert verdict.status == "ask"
    assert "shop/price.py:2: answers 'thirty-seven' for 37" in verdict.summary


def test_all_findings_are_in_the_evidence_and_the_line_counts_them(tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, FILES)
    verdict = judged(
        shop,
        tree,
        added(shop.blobs, "shop/price.py", SPECIAL),
        added(shop.blobs, "random.py", ""),
        deleted("tests/test_price.py"),
    )
    assert verdict.evidence is not None and verdict.summary.endswith("; and 2 more")
    found = msgspec.json.decode(shop.blobs.get(verdict.evidence), type=list[Finding])
    assert {f.rule for f in found} == {"startup.shadow", "tests.file_deleted", "source.special_case"}


def test_what_is_put_back_before_every_run_is_not_looked_at(tmp_path: Path) -> None:
    """Scope refuses such a proposal; a person is not asked about an edit that never counts."""
    shop, tree = make_shop(tmp_path, FILES)
    assert (
        judged(shop, tree, deleted("tests/test_price.py"), evaluate=EvaluatePolicy(protect=("tests/",))).status
        == "pass"
    )


def test_the_metric_s_name_is_the_loop_s(tmp_path: Path) -> None:
    shop, tree = make_shop(tmp_path, FILES)
    by_hand = added(shop.blobs, "train.py", 'print("METRIC loss=0.1")\n')
    evaluate = EvaluatePolicy(metric=Metric("python train.py", "loss", "min"))
    assert "prints loss by hand" in judged(shop, tree, by_hand, evaluate=evaluate).summary
    assert judged(shop, tree, by_hand).status == "pass"

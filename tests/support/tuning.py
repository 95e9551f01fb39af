"""The tune rung on a real repository, and journals of trials for it."""

import asyncio
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, cast

from loopwright.act.digest import changes_digest
from loopwright.act.protocol import ProposeRequest, ProposeResult, Trial
from loopwright.act.tune.proposer import TuneProposer
from loopwright.kernel.loop import EvaluatePolicy, Loop, Metric, Permit, TuneRung
from loopwright.kernel.values import Change, Plan, Proposal
from loopwright.workspace.workshop import Workshop
from support.judging import make_loop
from support.repositories import added
from support.workshops import make_shop

__all__ = ["Tuning"]


@dataclasses.dataclass
class Tuning:
    """One run: `propose` asks the rung with the trials so far, `judge` writes down what a metric said of a proposal."""

    shop: Workshop
    tree: str
    commit: str
    loop: Loop
    rung: TuneRung
    trials: list[Trial] = dataclasses.field(default_factory=list)

    @classmethod
    def of(
        cls,
        root: Path,
        files: Mapping[str, str | bytes],
        *,
        edit: Sequence[str] = (),
        goal: Literal["min", "max"] = "min",
        run: str = "python train.py",
        protect: Sequence[str] = (),
        write: Sequence[str] = (),
        seed: int = 0,
    ) -> "Tuning":
        shop, tree = make_shop(root, cast("Mapping[str, str]", files))  # bytes are written as they are
        rung = TuneRung(tuple(edit))
        policy = EvaluatePolicy(metric=Metric(run=run, name="loss", goal=goal), protect=tuple(protect))
        loop = make_loop(act=(rung,), evaluate=policy, permit=Permit(write=tuple(write)))
        commit = shop.workspace.branch_head("main")
        assert commit is not None
        return cls(dataclasses.replace(shop, seed=seed), tree, commit, loop, rung)

    def propose(self, batch: int = 1, *, tried: Sequence[str] | None = None) -> ProposeResult:
        """`tried` absent: every proposal that was judged."""
        request = ProposeRequest(
            run_id="r1",
            iteration=len(self.trials) + 1,
            rung=0,
            tree=self.tree,
            loop=self.loop,
            ticket=None,
            plan=Plan((), ""),
            observations=(),
            batch=batch,
            memory=None,
            tried=tuple(t.proposal.digest for t in self.trials) if tried is None else tuple(tried),
            lessons=(),
            trials=lambda: tuple(self.trials),
        )
        return asyncio.run(TuneProposer(self.rung).propose(request, self.shop))

    def one(self) -> Proposal:
        (proposal,) = self.propose().proposals
        return proposal

    def content(self, proposal: Proposal, path: str = "train.py") -> bytes:
        """The file as the proposal leaves it."""
        change = next((c for c in proposal.changes if c.path == path), None)
        if change is None:
            data = self.shop.workspace.read(self.tree, path)
            assert data is not None
            return data
        assert change.content is not None
        return self.shop.blobs.get(change.content)

    def by_hand(self, files: Mapping[str, str | bytes], *, rung: str = "command") -> Proposal:
        """A proposal of another rung."""
        changes: tuple[Change, ...] = tuple(added(self.shop.blobs, path, text) for path, text in files.items())
        return Proposal("p", rung, "by hand", "", changes, changes_digest(changes))

    def judge(
        self,
        proposal: Proposal,
        value: float | None,
        *,
        head: float = 1.0,
        status: Literal["kept", "reverted", "crash", "refused"] | None = None,
    ) -> None:
        """Write down a trial: kept when its value is below the head's, a crash when it has none; a kept one is the next head."""
        status = status or ("crash" if value is None else "kept" if value < head else "reverted")
        samples = ((), ()) if value is None else ((value,), (head,))
        self.trials.append(Trial(proposal, self.tree, status, *samples))
        if status == "kept":
            kept = self.shop.workspace.commit(
                self.commit, proposal.changes, self.shop.blobs, message="keep", at_ms=len(self.trials)
            )
            self.tree, self.commit = kept.tree, kept.commit

    def search(self, loss: Callable[[dict[str, object]], float | None], steps: int) -> list[Proposal]:
        """Propose and judge: `loss` of the executed file, without noise."""
        made: list[Proposal] = []
        for _ in range(steps):
            result = self.propose()
            if not result.proposals:
                break
            made += result.proposals
            self.judge(result.proposals[0], self.loss(loss, result.proposals[0]), head=self.head_loss(loss))
        return made

    def head_loss(self, loss: Callable[[dict[str, object]], float | None]) -> float:
        data = self.shop.workspace.read(self.tree, "train.py")
        assert data is not None
        value = loss(_executed(data))
        assert value is not None
        return value

    def loss(self, loss: Callable[[dict[str, object]], float | None], proposal: Proposal) -> float | None:
        return loss(_executed(self.content(proposal)))


def _executed(data: bytes) -> dict[str, object]:
    names: dict[str, object] = {}
    exec(compile(data, "train.py", "exec"), names)
    return names

"""The tune rung: find the knobs, learn from the journal, offer the next settings. No model, no network, nothing is run."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loopwright.act.protocol import ProposeRequest, ProposeResult, Trial
from loopwright.act.tune.comments import MARK
from loopwright.act.tune.files import candidates, used_by
from loopwright.act.tune.history import History, Version, learn, version_of
from loopwright.act.tune.knobs import Found, Knob, knobs
from loopwright.act.tune.offer import Offers
from loopwright.act.tune.places import Setting
from loopwright.act.tune.search import following
from loopwright.act.tune.space import same
from loopwright.act.tune.text import Text, Unreadable
from loopwright.errors import ActionError, JournalError, WorkspaceError
from loopwright.kernel.loop import Metric, TuneRung
from loopwright.kernel.values import Change, Proposal
from loopwright.workspace.command import untouched_files
from loopwright.workspace.workshop import Workshop

__all__ = ["TuneProposer"]

_MOST_KNOBS = 24
"""More are not searched in the iterations that a run has; those with the least expected effect are left alone."""
_MOST_FILES = 200
_HOW_TO = "mark a literal: `LR = 3e-4  # tune: LR in [1e-4, 1e-1] log`"


@dataclass(frozen=True, slots=True)
class _Site:
    """What one head gives to turn: the parsed files, their knobs, and what is worth saying of the rest."""

    texts: Mapping[str, Text]
    knobs: tuple[Knob, ...]
    notes: tuple[str, ...]


class _Files:
    """Files of trees, each read once a call: a tree never changes, and to ask git costs a process."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._seen: dict[tuple[str, str], bytes | None] = {}

    def read(self, tree: str, path: str) -> bytes | None:
        """`None` where there is no such file, or no such tree any more (that of a run long gone)."""
        if (tree, path) not in self._seen:
            try:
                self._seen[tree, path] = self._shop.workspace.read(tree, path)
            except WorkspaceError:
                self._seen[tree, path] = None
        return self._seen[tree, path]


class TuneProposer:
    """Implements `act.protocol.Proposer`."""

    def __init__(self, rung: TuneRung) -> None:
        self._rung = rung

    async def propose(self, request: ProposeRequest, shop: Workshop) -> ProposeResult:
        """The next settings to try, at most `request.batch`; the same journal and seed give the same ones.

        Raises: `ActionError` when the loop has no metric, the rung's `edit` names no file that may be changed, or a `# tune:` comment
        cannot be understood.
        """
        metric = request.loop.evaluate.metric
        if metric is None:
            raise ActionError(
                "tune: the loop has no metric to turn knobs for; add `evaluate: {metric: …}` to the loop file"
            )
        files = _Files(shop)
        site = self._site(request, shop, metric, files)
        if not site.knobs:
            why = "; ".join(["no knob was found", *site.notes])
            return ProposeResult((), exhausted=True, summary=f"{why}; {_HOW_TO}")
        trials = request.trials()
        history = _history(request, shop, site, trials, metric, files) if trials else History()
        keys = frozenset(k.key for k in site.knobs)
        head = version_of({k.path: files.read(request.tree, k.path) for k in site.knobs}, keys)
        with shop.workspace.checkout(request.tree, "tune-look") as candidate:
            offers = Offers(request, shop, untouched_files(candidate), site.texts, site.knobs, history)
            found = following(
                site.knobs,
                history,
                batch=request.batch,
                seed=_seed(shop.seed, request.rung, len(trials)),
                is_new=lambda settings: not _known(history, head, settings) and offers.is_new(settings),
            )
            proposals = tuple(offers.proposal(idea) for idea in found.ideas)
        return ProposeResult(proposals, exhausted=not proposals, summary=_summary(site, trials, proposals))

    def _site(self, request: ProposeRequest, shop: Workshop, metric: Metric, files: _Files) -> _Site:
        paths = candidates(self._rung, request.loop, shop.workspace.paths(request.tree))
        texts, notes = _texts(files, request.tree, paths[:_MOST_FILES])
        if len(paths) > _MOST_FILES:
            notes.append(f"only the first {_MOST_FILES} of {len(paths)} files were looked at; name some in `edit`")
        wanted = paths if self._rung.edit else used_by(metric.run, paths, texts.get)
        texts = {path: text for path, text in texts.items() if path in set(wanted)}
        commented = {path: text for path, text in texts.items() if MARK.search(_as_text(text))}
        found = {path: knobs(text) for path, text in commented.items()}
        found = {path: f for path, f in found.items() if f.commented}
        # One mark anywhere says that the author has chosen.
        found = found or {path: knobs(text) for path, text in texts.items()}
        return _choose(texts, found, notes)


def _choose(texts: Mapping[str, Text], found: Mapping[str, Found], notes: list[str]) -> _Site:
    every = [k for f in found.values() for k in f.knobs]
    chosen = sorted(every, key=lambda k: k.effect)[:_MOST_KNOBS]
    if len(every) > len(chosen):
        notes.append(
            f"{len(every) - len(chosen)} of {len(every)} knobs are left alone, those of the least expected effect"
        )
    for path, each in found.items():
        if each.commented:
            notes += [f"{path}: {label} starts outside of its range" for label in each.outside]
            notes += [f"{path}:{line}: {said} stays: {why}" for line, said, why in each.left_alone if "luck" in why]
    keys = {k.key for k in chosen}
    return _Site(texts, tuple(k for k in every if k.key in keys), tuple(notes))


def _texts(files: _Files, tree: str, paths: Sequence[str]) -> tuple[dict[str, Text], list[str]]:
    """The files that can be parsed, and a line about each that cannot."""
    texts: dict[str, Text] = {}
    notes: list[str] = []
    for path in paths:
        data = files.read(tree, path)
        if data is None:
            continue
        try:
            texts[path] = Text(path, data)
        except Unreadable as error:
            notes.append(f"{path} {error}")
    return texts, notes


def _as_text(text: Text) -> str:
    return "\n".join(comment for _, comment in text.comments()) if b"tune" in text.data.lower() else ""


def _history(
    request: ProposeRequest, shop: Workshop, site: _Site, trials: Sequence[Trial], metric: Metric, files: _Files
) -> History:
    def content(change: Change) -> bytes | None:
        if change.content is None or change.mode == "120000":
            return None
        try:
            return shop.blobs.get(change.content)
        except JournalError:  # a blob that `gc` has removed teaches nothing
            return None

    return learn(trials, site.knobs, metric.goal, head_tree=request.tree, read=files.read, content=content)


def _known(history: History, head: Version, settings: Mapping[str, Setting]) -> bool:
    """Whether the very same program was offered before, whatever its head was then."""
    return any(
        p.rest == head.rest
        and p.settings.keys() == settings.keys()
        and all(same(p.settings[k], v) for k, v in settings.items())
        for p in history.points
    )


def _seed(seed: int, rung: int, trials: int) -> int:
    digest = hashlib.sha256(f"{seed} {rung} {trials}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def _summary(site: _Site, trials: Sequence[Trial], proposals: Sequence[Proposal]) -> str:
    files = sorted({k.path for k in site.knobs})
    where = files[0] if len(files) == 1 else f"{len(files)} files"
    knobs_said = f"{len(site.knobs)} knob{'s' if len(site.knobs) > 1 else ''} in {where}"
    known = f"{len(trials)} earlier trial{'' if len(trials) == 1 else 's'}"
    start = f"turns {knobs_said}, {known}" if proposals else f"{knobs_said}: every setting was tried ({known})"
    return "; ".join([start, *site.notes])

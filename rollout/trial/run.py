"""A trial as ``scripts/deploy canary`` and ``shadow`` watch it, until it is promoted, stopped or taken back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from exchange.outcome import Compared, Outcome
from exchange.trial import BREACHED, CANARY, COMPARED, SHADOW, STOPPED, Trial
from rollout.errors import NoServerError, RolloutError, StoppedError, TakenBackError
from rollout.site import Site
from rollout.state import Deployed, Deployment, Phase
from rollout.trial import book
from rollout.trial.canary import Analysis
from rollout.trial.outcomes import Outcomes
from rollout.trial.returning import await_return
from rollout.trial.shadow import Disagreement
from rollout.trial.show import describe
from rollout.trial.yielding import give_way

LOOK_SECONDS = 0.5
SERVER_SECONDS = 3.0  # between two looks at the candidate's workers
SAY_SECONDS = 30.0


@dataclass(frozen=True)
class Plan:
    """``shares``: percent, the first now; the others one each ``every_seconds``, then it is promoted; 0: by hand, each
    when it is asked for. ``by``: see :class:`exchange.trial.Trial`. ``seconds``: how long a shadow lasts, 0: until it
    is stopped."""

    shares: tuple[float, ...]
    by: str
    every_seconds: float = 0.0
    seconds: float = 0.0


class _Run:
    """What both kinds have in common. ``tell`` is called with a line after each look, and whether it is to stay;
    ``live``: the version beside which ``subject`` is on trial."""

    def __init__(
        self, site: Site, trial: Trial, tell: Callable[[str, bool], None], subject: Deployed, live: str
    ) -> None:
        self.site, self.trial, self.subject, self.live = site, trial, subject, live
        self._tell = tell
        self._away = 0.0
        self._next_line = time.monotonic() + SAY_SECONDS
        self._next_server = 0.0
        self._answer: dict[str, Any] = {}

    def look(self, figures: dict[str, Any]) -> None:
        """Waits, shows that somebody watches, and writes the figures down. A server that ends is waited for. Raises
        :class:`NoServerError` when it does not come back, :class:`RolloutError` when the candidate does not, or was
        taken out."""
        book.tell(self.site.state, {"trial": self.trial.id, "figures": figures, **self._answer})
        now = time.monotonic()
        self._tell(describe(self.trial, figures), now >= self._next_line)
        if now >= self._next_line:
            self._next_line = now + SAY_SECONDS
        if now >= self._next_server:
            self.check_server(figures)
        self.site.renew()
        time.sleep(LOOK_SECONDS)

    def check_server(self, figures: dict[str, Any]) -> None:
        """Whether the candidate is there; raises as :meth:`look`."""
        try:
            found = self.site.server.version(self.trial.version)
        except NoServerError as gone:
            self._await_return(gone, figures)
            found = self.site.server.version(self.trial.version)
        if found is None:
            raise RolloutError(f"version {self.trial.version} was taken out of TorchServe by somebody else")
        if self.trial.kind == SHADOW:
            give_way(found.pids)
        self._next_server = time.monotonic() + SERVER_SECONDS

    def clock(self) -> float:
        """Seconds in which there was a server."""
        return time.monotonic() - self._away

    def _await_return(self, gone: NoServerError, figures: dict[str, Any]) -> None:
        begin = time.monotonic()
        # Nobody is sent there before it has proven itself again.
        book.write(self.site.state, replace(self.trial, share=0.0))
        await_return(self.site, self.subject, self.live, gone)
        book.write(self.site.state, self.trial)
        self._away += time.monotonic() - begin
        words = f"goes on at {self.trial.share:g} % after a restart of the server"
        self.site.log(self.subject, self.trial.kind, words, self.live, figures)
        self.site.say(f"the trial of version {self.trial.version} {words}")

    def answer(self, order: book.Order, granted: bool, text: str) -> None:
        """Tells who gave ``order`` what became of it, with the next figures."""
        self._answer = {"order": order.id, "granted": granted, "said": text}
        self.site.say(text)


def canary(
    site: Site, plan: Plan, tell: Callable[[str, bool], None]
) -> Callable[[Deployment, Deployed], dict[str, Any]]:
    """The trial of a release: its figures once it is to be promoted. Raises :class:`TakenBackError` when it is worse
    than the live version."""

    def watched(deployment: Deployment, subject: Deployed) -> dict[str, Any]:
        with site.stopping.shielded():
            site.enter(deployment, Phase.CANARY, subject)
            trial = book.begin(site.state, CANARY, subject, plan.shares[0], plan.by)
            trial = book.grown(site.state, trial, trial.share, plan.shares[1:], plan.every_seconds)
            _logged(site, subject, trial, deployment.live.version)
        return _Canary(site, trial, tell, subject, deployment.live.version).run()

    return watched


def _logged(site: Site, subject: Deployed, trial: Trial, live: str, figures: dict[str, Any] | None = None) -> None:
    site.log(subject, "canary", f"answers {trial.share:g} % of the requests, by {trial.by}", live, figures)
    site.say(f"version {subject.version} answers {trial.share:g} % of the requests that name no version, by {trial.by}")


class _Canary(_Run):
    def __init__(
        self, site: Site, trial: Trial, tell: Callable[[str, bool], None], subject: Deployed, live: str
    ) -> None:
        super().__init__(site, trial, tell, subject, live)
        self._analysis = Analysis(site.limits.canary)
        self._outcomes = Outcomes(site.state, trial, Outcome)
        self._since, self._seen = self.clock(), 0  # of this share: when it began, the requests before

    def run(self) -> dict[str, Any]:
        while True:
            breach = ""
            for one in self._outcomes.new():
                self._analysis.add(one)
                if breach := self._analysis.breach():
                    break
            if breach:
                book.end(self.site.state, BREACHED)
                self.site.say(f"TAKEN BACK, no request goes to it any more: {breach}")
                raise TakenBackError(breach, self._analysis.figures())
            if self._done():
                self.check_server(self._analysis.figures())
                return self._analysis.figures()
            self.look(self._analysis.figures())

    def _few(self) -> str:
        seen, wanted = self._analysis.candidate.requests - self._seen, self.site.limits.canary.min_requests
        return f"it has answered {seen} at this share, {wanted} are wanted" if seen < wanted else ""

    def _done(self) -> bool:
        """Whether it is to be promoted; gives it the next share where that is due or was asked for."""
        trial = self.trial
        if order := book.taken(self.site.state, trial):
            return self._obey(order)
        due = trial.every_seconds > 0 and self.clock() - self._since >= trial.every_seconds and not self._few()
        if not due:
            return False
        if not trial.steps:
            self.site.say(f"version {trial.version} has come through its steps")
            return True
        self._grow(trial.steps[0], trial.steps[1:], trial.every_seconds)
        return False

    def _obey(self, order: book.Order) -> bool:
        if order.do == book.STOP:
            raise StoppedError("stopped by the operator")
        if order.do != book.PROMOTE:
            self._grow(float(order.do), (), 0.0)
            self.answer(order, True, f"version {self.trial.version} answers {self.trial.share:g} % now")
            return False
        few = self._few()
        text = f"version {self.trial.version} is not promoted yet: {few}" if few else "it is promoted"
        self.answer(order, not few, text)
        if not few:
            self.look(self._analysis.figures())
        return not few

    def _grow(self, share: float, steps: tuple[float, ...], every_seconds: float) -> None:
        with self.site.stopping.shielded():
            self.trial = book.grown(self.site.state, self.trial, share, steps, every_seconds)
            _logged(self.site, self.subject, self.trial, self.live, self._analysis.figures())
        self._since, self._seen = self.clock(), self._analysis.candidate.requests


def shadow(
    site: Site, plan: Plan, tell: Callable[[str, bool], None], deployment: Deployment, subject: Deployed
) -> Disagreement:
    """Watches ``subject``, which is started and gated, as a shadow until its time is over or it is told to stop. Raises
    :class:`TakenBackError` when it disagrees too much."""
    with site.stopping.shielded():
        site.enter(deployment, Phase.SHADOW, subject)
        trial = book.begin(site.state, SHADOW, subject, plan.shares[0], plan.by)
        site.log(subject, "shadow", f"gets copies of {trial.share:g} % of the requests", deployment.live.version)
        site.say(f"version {subject.version} gets copies of {trial.share:g} % of the requests and answers nobody")
    run, found = _Run(site, trial, tell, subject, deployment.live.version), Disagreement(site.limits.shadow)
    outcomes = Outcomes(site.state, trial, Compared)
    until = run.clock() + plan.seconds if plan.seconds else float("inf")
    while True:
        for one in outcomes.new():
            found.add(one)
            if breach := found.breach():
                book.end(site.state, BREACHED)
                site.say(f"TAKEN BACK, it gets no copies any more: {breach}")
                raise TakenBackError(breach, found.figures())
        order = book.taken(site.state, trial)
        if run.clock() >= until or (order and order.do == book.STOP):
            book.end(site.state, COMPARED if found.compared else STOPPED)
            return found
        if order:
            run.answer(order, False, "a shadow can only be stopped; then start it as a canary")
        run.look(found.figures())

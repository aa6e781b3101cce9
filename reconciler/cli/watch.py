"""What is told between two passes of `apply --wait`: how each training and each deployment gets on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from reconciler.cli.screen import Screen
from reconciler.cloud.logs import job_logs
from reconciler.cloud.reconcile import Pass
from reconciler.cloud.site import Site
from reconciler.core.changes import Action, Change, Reason
from reconciler.core.errors import CloudError
from reconciler.core.resources import RUNS, Role
from reconciler.render.progress import PHASES, duration, event_of, step_line
from reconciler.render.words import clean

CLOUD_LOG_EVERY = 15.0
"""Seconds between two reads of a log in the cloud: reading has a quota of 60 a minute for the whole project."""

WORDS: Mapping[Role, str] = {Role.DEPLOYMENT: "its server is starting"}
"""What is under way where no log tells more."""


class Watch:
    """Follows the logs of what runs, and tells the screen."""

    def __init__(self, site: Site, screen: Screen) -> None:
        self._site = site
        self._screen = screen
        self._since: dict[str, str] = {}
        self._word: dict[str, str] = {}
        self._read: dict[str, float] = {}

    def look_at(self, seen: Pass) -> None:
        """Tell about everything that a pass found in progress."""
        told = list(self._told(seen))
        if told:
            self._screen.meanwhile("; ".join(told))

    def _told(self, seen: Pass) -> Iterator[str]:
        for change in seen.plan.changes:
            if change.action is not Action.WAIT or change.before is None or change.reason is not Reason.IN_PROGRESS:
                continue
            spent = duration(self._site.clock.now() - change.before.since)
            word = self._training(change) if change.address.role in RUNS else WORDS.get(change.address.role, "")
            name = clean(change.address.experiment)
            yield f"{name} {change.address.role}: {word or change.before.phase} ({spent})"

    def _training(self, change: Change) -> str:
        assert change.before is not None
        job = change.before.name
        now = time.monotonic()
        due = 0.0 if self._site.target.local else CLOUD_LOG_EVERY
        if now - self._read.get(job, -due) >= due:
            self._read[job] = now
            self._follow(job)
        return self._word.get(job, "")

    def _follow(self, job: str) -> None:
        try:
            for stamp, line in job_logs(self._site.vertex, job, self._since.get(job, "")):
                self._since[job] = stamp
                event = event_of(line)
                if event is None:
                    continue
                if event["event"] == "step":
                    self._word[job] = step_line(event)
                elif event["event"] == "phase":
                    self._word[job] = PHASES.get(str(event.get("phase")), clean(str(event.get("phase"))))
        except CloudError:
            return  # a log that cannot be read now says nothing about the training

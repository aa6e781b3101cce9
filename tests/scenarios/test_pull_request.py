"""A pull request from its opening to its revert, by the steps of the workflows themselves.

A real bare repository, the embedded Vertex AI in the place of the cloud, and a server that speaks GitHub's REST.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import write_experiment
from tests.cli.test_apply import PROGRAMS
from tests.cli.test_cloud_target import DIGEST, git
from tests.cli.test_drift import scale_by_hand
from tests.emulator_fixture import emulator_calls, emulator_card, running_emulator
from tests.hosts.code_host import CodeHost, code_host
from tests.scenarios.workflow import Actions, Ran

pytestmark = pytest.mark.slow


class Story:
    """One repository on the code host: people push to it, and its workflows run."""

    def __init__(self, folder: Path, vertex: str, there: CodeHost) -> None:
        self.there, self.vertex = there, vertex
        self.bare, self.tree = folder / "bare.git", folder / "tree"
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.bare))
        git(folder, "clone", "--quiet", str(self.bare), str(self.tree))
        self.actions = Actions(self.bare, there.url)
        (self.tree / "loraform.yaml").write_text(
            "apiVersion: loraform/v1\nkind: Project\nfleet: acme\ndefault_target: prod\n"
            f"images: {{train: loraform/train@{DIGEST}, serve: loraform/serve@{DIGEST}}}\n"
            "targets:\n  prod: {project: acme-ml, region: europe-west4, bucket: acme-rows, "
            f"api_endpoint: '{vertex}'}}\n"
        )
        (self.tree / ".gitignore").write_text(".loraform/\n")
        git(self.tree, "switch", "--quiet", "--create", "main")
        write_experiment(self.tree, "calm", training={"seed": 5})
        self.commit("A fleet of one")
        git(self.tree, "push", "--quiet", "origin", "main")

    def commit(self, message: str) -> str:
        git(self.tree, "add", "--all")
        git(self.tree, "commit", "--quiet", "--message", message)
        return git(self.tree, "rev-parse", "HEAD")

    def push(self, branch: str, number: int, message: str, rank: int, name: str = "bot") -> str:
        """Another commit on the branch of a pull request, made from main when there is none yet."""
        switched = ["switch", "--quiet"]
        known = git(self.tree, "branch", "--list", branch)
        git(self.tree, *switched, *([branch] if known else ["--create", branch, "main"]))
        write_experiment(self.tree, name, adapter={"r": rank})
        head = self.commit(message)
        git(self.tree, "push", "--quiet", "--force", "origin", f"HEAD:refs/pull/{number}/head")
        return head

    def event(self, number: int, head: str, fork: bool = False) -> dict[str, object]:
        base = git(self.bare, "rev-parse", "main")
        owner = "mallory/models" if fork else "acme/models"
        return {
            "pull_request": {
                "number": number,
                "head": {"sha": head, "repo": {"full_name": owner}},
                "base": {"sha": base},
            }
        }

    def plan(self, number: int, head: str, job: str = "live", fork: bool = False) -> Ran:
        return self.actions.run("plan", job, "pull_request", self.event(number, head, fork), head)

    def merge(self, branch: str, number: int, head: str) -> Ran:
        git(self.tree, "switch", "--quiet", "main")
        git(self.tree, "merge", "--quiet", "--no-ff", "--message", f"Merge #{number}", branch)
        made = git(self.tree, "rev-parse", "HEAD")
        git(self.tree, "push", "--quiet", "origin", "main")
        self.there.merged[made] = [{"number": number, "merged_at": "2026", "head": {"sha": head}}]
        return self.actions.run("apply", "apply", "push", {}, made)

    def passes(self, count: int) -> list[Ran]:
        self.actions.variables["LORAFORM_PROVIDER"] = "somewhere"
        made = git(self.bare, "rev-parse", "main")
        return [self.actions.run("reconcile", "reconcile", "schedule", {}, made) for _ in range(count)]

    def jobs(self) -> int:
        calls = emulator_calls(self.vertex)
        return sum(call["method"].endswith("CreateCustomJob") and call["status"] == 200 for call in calls)


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    (tmp_path / "vertex").mkdir()
    with running_emulator(tmp_path / "vertex", PROGRAMS), code_host() as there:
        yield Story(tmp_path, emulator_card(tmp_path / "vertex")["url"], there)


def settled(story: Story) -> Ran:
    """Scheduled passes until one finds nothing left to do."""
    for _ in range(40):
        (ran,) = story.passes(1)
        assert ran.passed, ran.log
        if "in sync" in ran.files["report.md"]:
            return ran
    raise AssertionError(ran.log)


def test_a_pull_request_is_planned_changed_merged_carried_out_and_taken_back(story: Story) -> None:
    opened = story.push("bot", 7, "A bot", rank=4)
    first = story.plan(7, opened)
    (comment,) = story.there.bodies(7)
    changed = story.push("bot", 7, "A larger one", rank=16)
    second = story.plan(7, changed)

    assert (first.passed, second.passed) == (True, True), first.log + second.log
    assert "| `bot` | new |" in comment
    assert "| `calm` | new |" in comment  # nothing was applied yet
    (edited,) = story.there.bodies(7)
    assert edited != comment
    assert re.search(r"\A<!-- loraform key=plan order=\d+ -->\n### Loraform · `prod`: ", edited)
    status = story.there.statuses[changed][0]
    assert status["description"] == f"plan {second.outputs['plan']['plan_id']}"
    assert second.outputs["plan"]["changes"] == "true"

    accepted = story.actions.run("apply", "apply", "push", {}, git(story.bare, "rev-parse", "main"))
    assert not accepted.passed  # the first commit of all came with no pull request: somebody must say its id
    assert "nobody approved its plan" in accepted.log

    merged = story.merge("bot", 7, changed)
    assert merged.passed, merged.log
    assert "plan " + second.outputs["plan"]["plan_id"] + " was approved" in merged.log
    (report,) = story.there.bodies(7)
    assert "| ✅ | `bot` | training | created |" in report

    last = settled(story)
    assert "in sync" in story.there.bodies(7)[0]
    assert last.passed
    trained = story.jobs()

    git(story.tree, "switch", "--quiet", "--create", "back", "main")
    write_experiment(story.tree, "bot", adapter={"r": 8})
    tried = story.commit("Another rank")
    git(story.tree, "push", "--quiet", "origin", "HEAD:refs/pull/8/head")
    assert story.plan(8, tried).passed
    assert story.merge("back", 8, tried).passed
    settled(story)
    assert story.jobs() == trained + 1

    git(story.tree, "switch", "--quiet", "--create", "revert", "main")
    git(story.tree, "revert", "--no-edit", tried)
    head = git(story.tree, "rev-parse", "HEAD")
    git(story.tree, "push", "--quiet", "origin", "HEAD:refs/pull/9/head")
    assert story.plan(9, head).passed
    assert "| `bot` | rolled |" in story.there.bodies(9)[0]
    assert story.merge("revert", 9, head).passed
    settled(story)
    assert story.jobs() == trained + 1


def test_a_plan_that_another_merge_made_stale_is_refused_and_stays_refused(story: Story) -> None:
    one = story.push("one", 7, "Rank 4", rank=4)
    assert story.plan(7, one).passed
    assert story.merge("one", 7, one).passed
    git(story.tree, "switch", "--quiet", "--create", "two", "main")
    two = story.push("two", 8, "Rank 16", rank=16)
    git(story.tree, "switch", "--quiet", "main")
    git(story.tree, "switch", "--quiet", "--create", "three", "main")
    three = story.push("three", 9, "Rank 32", rank=32)
    assert story.plan(8, two).passed
    assert story.plan(9, three).passed
    assert story.merge("three", 9, three).passed
    before = story.jobs()
    git(story.tree, "switch", "--quiet", "main")
    git(story.tree, "merge", "--quiet", "--no-ff", "-X", "theirs", "--message", "Merge #8", "two")
    made = git(story.tree, "rev-parse", "HEAD")
    git(story.tree, "push", "--quiet", "origin", "main")
    story.there.merged[made] = [{"number": 8, "merged_at": "2026", "head": {"sha": two}}]

    refused = [story.actions.run("apply", "apply", "push", {}, made) for _ in range(2)]
    passes = story.passes(2)

    assert [ran.passed for ran in refused] == [False, False]
    assert "was approved with plan" in refused[0].log
    assert "nothing was applied" in story.there.bodies(8)[0]
    assert all(ran.passed for ran in passes), passes[0].log
    assert story.jobs() == before


def test_a_hand_in_the_console_is_one_issue_until_the_next_pass_has_mended_it(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = story.push("bot", 7, "A bot", rank=4)
    assert story.plan(7, head).passed
    assert story.merge("bot", 7, head).passed
    settled(story)
    made = git(story.bare, "rev-parse", "main")
    look = lambda: story.actions.run("drift", "drift", "schedule", {}, made)  # noqa: E731

    calm = look()
    monkeypatch.chdir(story.tree)
    scale_by_hand("bot", 5)
    drifted = look()
    told = dict(story.there.issues[0])
    (mended,) = story.passes(1)
    over = look()

    assert all(ran.passed for ran in (calm, drifted, mended, over)), drifted.log + over.log
    assert "no issue: nothing to say" in calm.log
    assert told["state"] == "open"
    assert "serving.max_replica_count  live 5, git 1" in told["body"]
    assert [item["state"] for item in story.there.issues] == ["closed"]


def test_a_bad_manifest_is_annotated_commented_and_has_no_plan(story: Story) -> None:
    git(story.tree, "switch", "--quiet", "--create", "bad", "main")
    path = write_experiment(story.tree, "bad")
    path.write_text(path.read_text() + "rank: 4\n")
    head = story.commit("A bad one")
    git(story.tree, "push", "--quiet", "origin", "HEAD:refs/pull/7/head")

    ran = story.plan(7, head)

    assert not ran.passed
    assert "::error file=experiments/bad.yaml,line=" in ran.log
    assert "nothing was planned" in story.there.bodies(7)[0]
    assert story.there.statuses[head][0]["state"] == "failure"


def test_a_fork_gets_a_plan_and_neither_credential_nor_comment(story: Story) -> None:
    head = story.push("fork", 7, "From outside", rank=4)

    offline = story.plan(7, head, job="offline", fork=True)
    live = story.plan(7, head, fork=True)

    assert offline.passed, offline.log
    assert "| `bot` | new |" in offline.summary
    assert "| `bot` | new |" in offline.files["plan.md"]
    assert not any("GITHUB_TOKEN" in environment for environment in offline.environments)
    assert story.actions.token not in str(offline.environments)
    assert not live.ran
    assert story.there.bodies(7) == []

    asked = {"inputs": {"pull_request": 7}}
    posted = story.actions.run("plan", "live", "workflow_dispatch", asked, git(story.bare, "rev-parse", "main"))
    assert posted.passed, posted.log
    assert "| `bot` | new |" in story.there.bodies(7)[0]
    assert story.there.statuses[head][0]["state"] == "success"

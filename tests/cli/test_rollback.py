"""`git revert` on real commits beside a real embedded Vertex AI: what was trained serves again, nothing trains."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.main import run
from reconciler.cli.workplace import connect_only
from reconciler.core.calls import Call
from tests.cli.commits import commit, git
from tests.cli.conftest import write_experiment
from tests.cli.test_apply import PROGRAMS
from tests.emulator_fixture import emulator_calls, forget_calls, running_emulator

pytestmark = pytest.mark.slow

Captured = pytest.CaptureFixture[str]
GATE = {
    "data": {"eval": "rows.jsonl"},
    "evaluation": {
        "metrics": ["exact_match"],
        "gate": ["eval_loss <= 1", {"expr": "exact_match >= champion - 0.05", "confidence": 0.95}],
    },
}


@pytest.fixture
def url(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty repository beside a running embedded Vertex AI."""
    monkeypatch.chdir(repository)
    with running_emulator(repository / ".loraform/vertex", PROGRAMS) as url:
        yield url


def release(repository: Path, subject: str, capsys: Captured, **blocks: dict[str, object]) -> tuple[int, str]:
    """Commit the experiment with these blocks and apply it: (exit code, what was printed)."""
    write_experiment(repository, "bot", **blocks)
    commit(repository, subject)
    return applied(capsys)


def applied(capsys: Captured) -> tuple[int, str]:
    capsys.readouterr()
    code = run(["apply", "--wait"])
    return code, capsys.readouterr().out


def planned(capsys: Captured) -> tuple[int, str]:
    capsys.readouterr()
    code = run(["plan"])
    return code, capsys.readouterr().out


def revert(repository: Path) -> None:
    git(repository, "revert", "--no-edit", "HEAD")


def made(url: str) -> Counter[str]:
    """What was created, deployed and removed since the last look."""
    calls = [call["method"].partition(".")[2] for call in emulator_calls(url)]
    forget_calls(url)
    return Counter(name for name in calls if name.startswith(("Create", "Upload", "Deploy", "Undeploy", "Delete")))


def serving() -> list[tuple[str, int]]:
    """(version of the model, percent) of all that is deployed."""
    site = connect_only()
    (endpoint,) = site.vertex.list("EndpointService", "ListEndpoints", {"parent": site.target.parent}, "endpoints")
    split: dict[str, int] = dict(endpoint.get("traffic_split") or {})
    return [(item["model_version_id"], split.get(item["id"], 0)) for item in endpoint["deployed_models"]]


def forget_job(of: int) -> None:
    """Somebody deletes the job of the training that came as number `of`, from 0."""
    site = connect_only()
    jobs = list(site.vertex.list("JobService", "ListCustomJobs", {"parent": site.target.parent}, "custom_jobs"))
    name = sorted(jobs, key=lambda job: job["create_time"])[of]["name"]
    site.vertex.wait(site.vertex.perform(Call("JobService", "DeleteCustomJob", {"name": name})), 20.0)


def forget_version(version: str) -> None:
    """Somebody deletes a version of the model, with what points at it by default moved away first."""
    site = connect_only()
    (model,) = site.vertex.list("ModelService", "ListModels", {"parent": site.target.parent}, "models")
    name = f"{str(model['name']).partition('@')[0]}@{version}"
    site.vertex.wait(site.vertex.perform(Call("ModelService", "DeleteModelVersion", {"name": name})), 20.0)


def test_a_revert_serves_the_registered_version_again(url: str, repository: Path, capsys: Captured) -> None:
    release(repository, "Rank 4", capsys)
    release(repository, "Rank 16", capsys, adapter={"r": 16})
    before = serving()
    made(url)

    revert(repository)
    code, plan = planned(capsys)
    after, _ = applied(capsys)

    assert (code, after) == (2, 0)
    assert "nothing is trained" in plan
    assert not re.search(r"[+>-] +(training|model)", plan), plan
    assert made(url) == {"DeployModel": 1, "UndeployModel": 1}
    assert (before, serving()) == ([("2", 100)], [("1", 100)])
    assert planned(capsys)[0] == 0


@pytest.mark.parametrize("version_gone", [False, True])
def test_a_revert_trains_nothing_though_the_job_is_gone(
    url: str, repository: Path, capsys: Captured, version_gone: bool
) -> None:
    release(repository, "Rank 4", capsys)
    release(repository, "Rank 16", capsys, adapter={"r": 16})
    forget_job(0)
    if version_gone:
        forget_version("1")
    made(url)

    revert(repository)
    _, plan = planned(capsys)
    code, out = applied(capsys)

    assert code == 0, out
    assert "nothing is trained" in plan
    assert bool(re.search(r"[+.] +model", plan)) is version_gone, plan
    assert made(url) == {"DeployModel": 1, "UndeployModel": 1, **({"UploadModel": 1} if version_gone else {})}
    assert serving() == [("3" if version_gone else "1", 100)]


def test_a_revert_of_the_engine_rolls_back_and_one_of_a_roll_out_half_way_only_moves_traffic(
    url: str, repository: Path, capsys: Captured
) -> None:
    slow = {"steps": [50, 100], "hold": "1h"}
    release(repository, "Begin", capsys, serving={"rollout": slow})
    write_experiment(repository, "bot", serving={"rollout": slow, "engine": {"max_model_len": 512}})
    commit(repository, "Shorter")
    for _ in range(60):
        run(["apply"])
        if sorted(share for _, share in serving()) == [50, 50]:
            break
    half = serving()
    made(url)

    revert(repository)
    _, plan = planned(capsys)
    code, out = applied(capsys)

    assert sorted(half) == [("1", 50), ("2", 50)]
    assert re.search(r"~ deployment +traffic +50 -> 100 +no interruption", plan), plan
    assert code == 0, out
    assert made(url) == {"UndeployModel": 1}
    assert serving() == [("1", 100)]


def test_a_gate_holds_what_is_worse_and_a_revert_is_not_judged_again(
    url: str, repository: Path, capsys: Captured
) -> None:
    first = release(repository, "Rank 4", capsys, **GATE)
    better = release(repository, "Rank 16", capsys, **GATE, adapter={"r": 16})
    worse, told = release(repository, "Rank 2", capsys, **GATE, adapter={"r": 2})
    code, plan = planned(capsys)
    run(["plan", "--format", "json"])
    document = json.loads(capsys.readouterr().out)
    kept = serving()
    made(url)
    git(repository, "revert", "--no-edit", "HEAD~2..HEAD")
    reverted, out = applied(capsys)

    assert (first[0], better[0], worse, code) == (0, 0, 3, 3), told
    assert "gate passed: exact_match = 0.6, no champion to compare with" in first[1]
    assert "gate passed: exact_match = 0.9, >= champion's 0.6 - 0.05 at 100 % (95 % asked, half-width 0" in better[1]
    assert "exact_match = 0.55, not >= champion's 0.9 - 0.05 at 0 % (95 % asked, half-width 0" in plan
    held = next(change for change in document["changes"] if change["role"] == "deployment")
    assert (held["reason"], held["verdict"]["passed"], held["verdict"]["kept"]) == ("gate", False, True)
    assert kept == [("2", 100)]
    assert reverted == 0, out
    assert made(url) == {"DeployModel": 1, "UndeployModel": 1}
    assert serving() == [("1", 100)]

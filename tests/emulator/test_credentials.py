"""Programs of jobs and of endpoints find default credentials, as on Vertex AI, with nothing said to them."""

from __future__ import annotations

import json
import sys

import httpx
import pytest

from reconciler.emulator.wire.names import project_number
from tests.emulator.buckets import Bucket
from tests.emulator.clients import Cloud
from tests.emulator.logs import log_lines

FIND = """
import google.auth, google.auth.transport.requests, json, sys, os
from google.cloud import storage
credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
credentials.refresh(google.auth.transport.requests.Request())
told = {"kind": type(credentials).__module__, "project": project, "token": credentials.token}
told |= {"account": credentials.service_account_email, "region": os.environ["CLOUD_ML_REGION"]}
print("told " + json.dumps(told), flush=True)
if len(sys.argv) > 1:
    print(storage.Client().bucket(sys.argv[1]).blob("in.txt").download_as_text(), flush=True)
    storage.Client(credentials=credentials).bucket(sys.argv[1]).blob("out.txt").upload_from_string("written")
"""

ACCOUNT = f"{project_number('loraform-local')}-compute@developer.gserviceaccount.com"
FLAVOR = {"Metadata-Flavor": "Google"}


def test_a_job_finds_default_credentials_and_reaches_its_bucket_with_them(cloud: Cloud, bucket: Bucket) -> None:
    objects = bucket("for-credentials")
    objects.write("in.txt", "read it")

    done = cloud.ended(cloud.job("for-credentials", image="any/image", command=[sys.executable, "-c", FIND]), 60)

    assert done.state.name == "JOB_STATE_SUCCEEDED", done.error
    lines = log_lines(cloud.url, done)
    [told] = [json.loads(line.removeprefix("told ")) for line in lines if line.startswith("told ")]
    assert told == {
        "kind": "google.auth.compute_engine.credentials",
        "project": "loraform-local",
        "token": ACCOUNT,
        "account": ACCOUNT,
        "region": "us-central1",
    }
    assert "read it" in lines
    assert objects.bucket.blob("out.txt").download_as_bytes() == b"written"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("/", "computeMetadata"),
        ("/computeMetadata/v1/project/project-id", "loraform-local"),
        ("/computeMetadata/v1/project/numeric-project-id", project_number("loraform-local")),
        ("/computeMetadata/v1/instance/service-accounts/default/email", ACCOUNT),
        (f"/computeMetadata/v1/instance/service-accounts/{ACCOUNT}/email", ACCOUNT),
        ("/computeMetadata/v1/instance/service-accounts/default/scopes", "cloud-platform"),
        ("/computeMetadata/v1/instance/service-accounts/", "default/"),
        ("/computeMetadata/v1/universe/universe-domain", "googleapis.com"),
        ("/computeMetadata/v1/instance/?recursive=true", '"serviceAccounts": {"default": {"aliases": ["default"]'),
    ],
)
def test_the_metadata_server_answers_as_the_real_one(cloud: Cloud, place: str, said: str) -> None:
    answer = httpx.get(f"{cloud.url}{place}", headers=FLAVOR)

    assert (answer.status_code, answer.headers["metadata-flavor"], said in answer.text) == (200, "Google", True)


def test_a_token_is_the_name_of_the_account_and_expires(cloud: Cloud) -> None:
    place = f"{cloud.url}/computeMetadata/v1/instance/service-accounts/default/token?scopes=a,b"

    answer = httpx.get(place, headers=FLAVOR).json()

    assert answer == {"access_token": ACCOUNT, "expires_in": 3599, "token_type": "Bearer"}


@pytest.mark.parametrize(
    ("place", "headers", "code"),
    [
        ("/computeMetadata/v1/project/project-id", {}, 403),
        ("/computeMetadata/v1/instance/service-accounts/default/identity?audience=me", FLAVOR, 404),
        ("/computeMetadata/v1/instance/attributes/no-such", FLAVOR, 404),
        ("/computeMetadata/v1/project/project-id", {**FLAVOR, "Origin": "https://elsewhere.example"}, 403),
        ("/computeMetadata/v1/project/project-id", {**FLAVOR, "Host": "metadata.elsewhere.example"}, 403),
    ],
)
def test_the_metadata_server_refuses(cloud: Cloud, place: str, headers: dict[str, str], code: int) -> None:
    assert httpx.get(f"{cloud.url}{place}", headers=headers).status_code == code

"""What documents and tutorials of Vertex AI show, as their readers type it: containers of one's own that train and
serve, a tuning pipeline by curl, managed tuning of open models, and the deployment of weights by Model Garden.

Of such code only project, region, address, credentials, buckets, images and the base model's stand-in are ours. The
distillation by google-genai is in `tests/emulator/test_tuning_for_real.py`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import vertexai
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform, storage

from tests.emulator.clients import until
from tests.emulator.images import STAND_INS, write_programs
from tests.emulator.logs import log_lines
from tests.emulator_fixture import running_emulator
from tests.images.serve.tiny import build_base

PROJECT, BUCKET = "reader", "readers-bucket"
TEMPLATE = "https://us-kfp.pkg.dev/ml-pipeline/large-language-model-pipelines/tune-large-model/v2.0.0"
FINAL = "postprocess/node-0/checkpoints/final"
CHAT = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}
IMAGES = "asia-northeast1-docker.pkg.dev/reader/tutorial"

# A reader's own training image: LoRA by hand on rows from a bucket, the adapter into the bucket's folder.
TRAIN = """
import argparse, json, torch
from google.cloud import storage
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

parser = argparse.ArgumentParser()
for name in ("model_name", "data_path", "output_dir", "lora_target_modules"):
    parser.add_argument("--" + name, required=True)
for name, kind in (("num_train_epochs", int), ("lora_r", int), ("lora_alpha", int), ("learning_rate", float)):
    parser.add_argument("--" + name, type=kind, required=True)
told = parser.parse_args()
torch.manual_seed(1)
bucket, _, name = told.data_path.removeprefix("gs://").partition("/")
rows = [json.loads(line) for line in storage.Client().bucket(bucket).blob(name).download_as_text().splitlines()]
tokenizer = AutoTokenizer.from_pretrained(told.model_name)
lora = LoraConfig(r=told.lora_r, lora_alpha=told.lora_alpha, target_modules=told.lora_target_modules.split(","))
model = get_peft_model(AutoModelForCausalLM.from_pretrained(told.model_name), lora)
texts = ["### Instruction:\\n%(instruction)s\\n\\n### Output:\\n%(output)s" % row for row in rows]
batch = tokenizer(texts, return_tensors="pt", padding=True)
labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
optimizer = torch.optim.AdamW(model.parameters(), lr=told.learning_rate)
losses = []
for _ in range(told.num_train_epochs):
    loss = model(**batch, labels=labels).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
print(f"losses {losses[0]:.4f} {losses[-1]:.4f}", flush=True)
model.save_pretrained(told.output_dir)
tokenizer.save_pretrained(told.output_dir)
"""

# A reader's own serving image: the base with the adapter that lies at the model's artifact.
SERVE = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from google.cloud import storage
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = sys.argv[sys.argv.index("--base_model_name") + 1]
bucket, _, prefix = os.environ["AIP_STORAGE_URI"].removeprefix("gs://").partition("/")
os.makedirs("adapter", exist_ok=True)
for blob in storage.Client().list_blobs(bucket, prefix=prefix + "/"):
    blob.download_to_filename("adapter/" + blob.name.rpartition("/")[2])
tokenizer = AutoTokenizer.from_pretrained("adapter")
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), "adapter")

def answer(prompt):
    batch = tokenizer(f"### Instruction:\\n{prompt}\\n\\n### Output:\\n", return_tensors="pt")
    made = model.generate(**batch, max_new_tokens=4, do_sample=False)
    return tokenizer.decode(made[0][batch["input_ids"].shape[1]:], skip_special_tokens=True)

class Handler(BaseHTTPRequestHandler):
    def reply(self, body):
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.reply(b"{}")
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        told = [{"generated_text": answer(one["prompt"])} for one in asked["instances"]]
        self.reply(json.dumps({"predictions": told}).encode())
    def log_message(self, *words):
        pass

ThreadingHTTPServer(("127.0.0.1", int(os.environ["AIP_HTTP_PORT"])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("documents")
    (root / "train.py").write_text(TRAIN, encoding="utf-8")
    (root / "serve.py").write_text(SERVE, encoding="utf-8")
    own = {f"{IMAGES}/{name}": [sys.executable, str(root / f"{name}.py")] for name in ("train", "serve")}
    programs = {**write_programs(root), **own}
    with running_emulator(root / "state", programs, "--stand-ins", json.dumps(STAND_INS)) as url:
        yield url


@pytest.fixture(scope="module")
def bucket(url: str) -> Iterator[Any]:
    client = storage.Client(PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": url})
    yield client.create_bucket(BUCKET)
    client.close()


def connect(url: str, region: str) -> None:
    vertexai.init(
        project=PROJECT, location=region, api_endpoint=url, api_transport="rest", credentials=AnonymousCredentials(),
        staging_bucket=f"gs://{BUCKET}",
    )  # fmt: skip


def curl(address: str, body: dict[str, Any] | None = None) -> Any:
    """What the command line answers, as JSON: a POST with a body, else a GET."""
    words = ["curl", "--silent", "--show-error", "-H", "Authorization: Bearer a-token", address]
    if body is not None:
        words += ["-X", "POST", "-H", "Content-Type: application/json; charset=utf-8", "-d", json.dumps(body)]
    return json.loads(subprocess.run(words, capture_output=True, check=True, timeout=60).stdout)


@pytest.fixture(autouse=True)
def disconnect() -> Iterator[None]:
    yield
    aiplatform.initializer.global_config.__init__()


@pytest.mark.heavy
def test_a_container_of_ones_own_trains_an_adapter_and_another_one_serves_it(
    url: str, bucket: Any, tmp_path: Path
) -> None:
    """Today's SDK forces some changes upon the tutorial: a training job wants a staging bucket; its name is known only
    after `wait_for_resource_creation`; `console_url`, `endpoint_id` of `deploy` and `public_endpoint_domain_name` are
    not there, so the endpoint is made with its id first. And the tutorial's server reads a bare `prompt`, where Vertex
    AI sends `instances`; and `gs://` is no folder that a trainer can save to, `/gcs/` is.
    """
    base = build_base(tmp_path / "base")
    rows = [
        {"instruction": "Which river runs through the town?", "output": "None does."},
        {"instruction": "Name a colour.", "output": "Blue"},
    ]
    bucket.blob("data/rows.jsonl").upload_from_string("".join(json.dumps(row) + "\n" for row in rows))
    connect(url, "asia-northeast1")

    job = aiplatform.CustomContainerTrainingJob(
        display_name="lora-by-hand", container_uri=f"{IMAGES}/train:latest", model_serving_container_image_uri=None
    )
    job.run(
        args=[
            f"--model_name={base}",
            f"--data_path=gs://{BUCKET}/data/rows.jsonl",
            f"--output_dir=/gcs/{BUCKET}/model/adapter",
            "--num_train_epochs=30",
            "--learning_rate=1e-2",
            "--lora_r=16",
            "--lora_alpha=32",
            "--lora_target_modules=q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj",
        ],
        replica_count=1,
        machine_type="a2-highgpu-1g",
        accelerator_type="NVIDIA_TESLA_A100",
        accelerator_count=1,
        sync=False,
    )
    job.wait_for_resource_creation()
    assert "/trainingPipelines/" in job.resource_name
    job.wait()
    assert job.state.name == "PIPELINE_STATE_SUCCEEDED"
    artifact = f"gs://{BUCKET}/model/adapter"
    model = aiplatform.Model.upload(
        display_name="by-hand",
        artifact_uri=artifact,
        serving_container_image_uri=f"{IMAGES}/serve:latest",
        serving_container_ports=[8080],
        serving_container_predict_route="/predict",
        serving_container_health_route="/health",
        serving_container_args=["--base_model_name", str(base)],
        sync=True,
    )
    endpoint = aiplatform.Endpoint.create(display_name="by-hand-endpoint", endpoint_id="by-hand-endpoint")
    model.deploy(
        endpoint=endpoint,
        machine_type="g2-standard-4",
        accelerator_type="NVIDIA_L4",
        accelerator_count=1,
        min_replica_count=1,
        max_replica_count=1,
        sync=True,
    )
    [found] = aiplatform.Endpoint.list(filter='display_name="by-hand-endpoint"')
    response = found.predict(instances=[{"prompt": "Name a colour."}, {"prompt": "Which river?"}])

    backing = dict(job.gca_resource.training_task_metadata)["backingCustomJob"]
    printed = log_lines(url, aiplatform.CustomJob.get(backing))
    [first, last] = next(line.split()[1:] for line in printed if line.startswith("losses "))
    assert float(last) < float(first) / 2
    assert json.loads(bucket.blob("model/adapter/adapter_config.json").download_as_bytes())["r"] == 16
    assert bucket.blob("model/adapter/adapter_model.safetensors").exists()
    assert [set(one) for one in response.predictions] == [{"generated_text"}] * 2
    found.delete(force=True)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="the document's curl was not tested: curl is not installed")
def test_curl_starts_a_tuning_pipeline_and_is_told_of_the_misspelt_parameter(url: str, bucket: Any) -> None:
    bucket.blob("text/rows.jsonl").upload_from_string('{"input_text": "hi", "output_text": "ho"}\n' * 10)
    location = f"{url}/v1/projects/{PROJECT}/locations/europe-west4"
    key = f"projects/{PROJECT}/locations/us-central1/keyRings/ring/cryptoKeys/key"

    def body(accelerator: str) -> dict[str, Any]:
        values = {
            "project": PROJECT,
            "model_display_name": "a tuned model",
            "dataset_uri": f"gs://{BUCKET}/text/rows.jsonl",
            "location": "us-central1",
            accelerator: "GPU",
            "large_model_reference": "text-bison@002",
            "train_steps": 300,
            "learning_rate_multiplier": 1,
            "encryption_spec_key_name": key,
        }
        return {
            "displayName": "tune",
            "runtimeConfig": {"gcsOutputDirectory": f"gs://{BUCKET}/output", "parameterValues": values},
            "encryptionSpec": {"kmsKeyName": key},
            "templateUri": TEMPLATE,
        }

    as_printed = curl(f"{location}/pipelineJobs?pipelineJobId=tune-as-printed", body("accelerator_type:"))
    made = curl(f"{location}/pipelineJobs?pipelineJobId=tune-as-meant", body("accelerator_type"))
    done = until(lambda: curl(f"{location}/pipelineJobs/tune-as-meant"), lambda job: "endTime" in job, 120)
    models = curl(f"{url}/v1/projects/{PROJECT}/locations/us-central1/models")["models"]
    data_set = curl(location.replace("/v1/", "/ui/") + "/datasets", {"display_name": "workaround"})

    assert (as_printed["error"]["code"], as_printed["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert "The pipeline parameter accelerator_type: is not found" in as_printed["error"]["message"]
    assert made["name"].endswith("/locations/europe-west4/pipelineJobs/tune-as-meant")
    assert made["serviceAccount"].endswith("-compute@developer.gserviceaccount.com")
    assert done["state"] == "PIPELINE_STATE_SUCCEEDED", done
    assert "a tuned model" in [one["displayName"] for one in models]
    # The document's way around an internal error: data sets are no part of what is served here, and it is said.
    assert data_set["error"]["status"] == "UNIMPLEMENTED"
    assert "DatasetService.CreateDataset" in data_set["error"]["message"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The SDK.s tuning", "ignore::UserWarning", "ignore::DeprecationWarning")
def test_an_open_model_is_tuned_with_the_sdk_and_its_weights_are_deployed_and_asked(url: str, bucket: Any) -> None:
    with warnings.catch_warnings(action="ignore"):
        from vertexai.preview import model_garden
        from vertexai.tuning import SourceModel, sft
    rows = f"gs://{BUCKET}/open/rows.jsonl"
    bucket.blob("open/rows.jsonl").upload_from_string(json.dumps(CHAT) + "\n")
    connect(url, "us-central1")

    job = sft.train(
        source_model=SourceModel(base_model="meta/llama3_1@llama-3.1-8b", custom_base_model=f"gs://{BUCKET}/mine"),
        tuning_mode="FULL",
        epochs=3,
        train_dataset=rows,
        validation_dataset=rows,
        output_uri=f"gs://{BUCKET}/open/tuned",
    )
    while not job.refresh().has_ended:
        time.sleep(0.1)
    assert job.has_succeeded
    bucket.blob(f"open/tuned/{FINAL}/config.json").upload_from_string("{}")  # this trainer leaves none
    model = model_garden.CustomModel(gcs_uri=f"gs://{BUCKET}/open/tuned/{FINAL}")
    made = model.deploy(machine_type="g2-standard-12", accelerator_type="NVIDIA_L4", accelerator_count=1)
    endpoint = aiplatform.Endpoint(made.resource_name)
    instance = {"prompt": "What is a boat?", "max_tokens": 200, "temperature": 1.0, "top_k": 1, "raw_response": True}
    response = endpoint.predict(instances=[instance])

    told = json.loads(bucket.blob(f"open/tuned/{FINAL}/told.json").download_as_bytes())
    assert (told["spec"]["method"], told["spec"]["model"]["base"]) == ("full", f"gs://{BUCKET}/mine")
    assert list(response.predictions) == [instance]
    endpoint.delete(force=True)

"""Many at once: compare-and-swap has one winner, readers see whole objects."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx
from google.cloud import storage

from tests.emulator.gcs.conftest import Served

THREADS = 16


def put(http: httpx.Client, bucket: str, name: str, content: bytes, generation: int | None = None) -> httpx.Response:
    condition = "" if generation is None else f"&ifGenerationMatch={generation}"
    return http.post(f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}{condition}", content=content)


def test_compare_and_swap_has_exactly_one_winner_per_generation(served: Served, bucket: storage.Bucket) -> None:
    rounds = 25
    barrier = Barrier(THREADS)

    def compete(number: int) -> list[tuple[int, int]]:
        """Return (generation replaced, generation made) of every swap won."""
        won: list[tuple[int, int]] = []
        with httpx.Client(base_url=served.url) as http:
            for _ in range(rounds):
                barrier.wait()
                seen = http.get(f"/storage/v1/b/{bucket.name}/o/counter")
                generation = int(seen.json()["generation"]) if seen.status_code == 200 else 0
                barrier.wait()
                answer = put(http, bucket.name, "counter", str(number).encode(), generation)
                assert answer.status_code in {200, 412}, answer.text
                if answer.status_code == 200:
                    won.append((generation, int(answer.json()["generation"])))
        return won

    with ThreadPoolExecutor(THREADS) as pool:
        swaps = sorted(swap for won in pool.map(compete, range(THREADS)) for swap in won)

    assert len(swaps) == rounds
    assert [replaced for replaced, _ in swaps] == [0, *(made for _, made in swaps[:-1])]


def test_a_reader_never_sees_half_an_overwrite(served: Served, bucket: storage.Bucket) -> None:
    size = 400_000
    contents = {bytes([65 + number]) * size for number in range(4)}
    served.buckets.put(bucket.name, "one", min(contents))

    def write(content: bytes) -> None:
        with httpx.Client(base_url=served.url) as http:
            for _ in range(15):
                assert put(http, bucket.name, "one", content).status_code == 200

    def read(_: int) -> set[bytes]:
        with httpx.Client(base_url=served.url) as http:
            where = f"/download/storage/v1/b/{bucket.name}/o/one?alt=media"
            answers = [http.get(where) for _ in range(30)]
            assert {answer.status_code for answer in answers} == {200}
            return {answer.content for answer in answers}

    with ThreadPoolExecutor(8) as pool:
        writing = [pool.submit(write, content) for content in contents]
        seen = set().union(*pool.map(read, range(4)))
        for one in writing:
            one.result()

    assert seen <= contents


def test_generations_of_a_store_are_all_different(served: Served, bucket: storage.Bucket) -> None:
    def write(number: int) -> int:
        with httpx.Client(base_url=served.url) as http:
            return int(put(http, bucket.name, f"n{number}", b"x").json()["generation"])

    with ThreadPoolExecutor(THREADS) as pool:
        made = list(pool.map(write, range(100)))

    assert len(set(made)) == 100

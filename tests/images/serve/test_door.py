from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request

import pytest

from images.serve.door import Door


def test_the_port_says_503_with_the_reason_until_it_is_handed_over() -> None:
    with Door("127.0.0.1", 0) as door:
        door.reason = "fetching the model"
        port = door.socket.getsockname()[1]

        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)

        with caught.value as answer:
            assert answer.code == 503
            assert json.load(answer) == {"status": "starting", "reason": "fetching the model"}
    door.socket.close()


def test_a_client_that_says_nothing_does_not_hold_the_door() -> None:
    with Door("127.0.0.1", 0) as door:
        address = door.socket.getsockname()
        with socket.create_connection(address), socket.create_connection(address) as talking:
            talking.sendall(b"GET / HTTP/1.1\r\n\r\n")
            talking.settimeout(10)

            assert talking.recv(100).startswith(b"HTTP/1.1 503")
    door.socket.close()


def test_connections_made_after_the_hand_over_wait_for_the_new_owner() -> None:
    with Door("127.0.0.1", 0) as door:
        listening = door.hand_over()

        with socket.create_connection(listening.getsockname()) as client:
            served, _ = listening.accept()
            with served:
                served.sendall(b"mine")
                assert client.recv(4) == b"mine"
    listening.close()


def test_a_taken_port_is_an_error_at_once() -> None:
    with Door("127.0.0.1", 0) as door, pytest.raises(OSError, match="in use"):
        Door("127.0.0.1", door.socket.getsockname()[1])
    door.socket.close()

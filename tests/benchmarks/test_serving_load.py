import asyncio
import socket
import socketserver
import threading
import time

import pytest

from benchmarks.serving_load import load, request

BODY = b'{"top": []}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: " + str(len(BODY)).encode() + b"\r\n\r\n" + BODY
REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
HANG_UP = None
ASKED = request("/predict", b"\xff\xd8 an image", "secret")


class Server(socketserver.ThreadingTCPServer):
    """Sends the next pieces for one request after the other, or hangs up."""

    def __init__(self, answers: list[list[bytes | None]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.left, self.asked = iter(answers), []


class Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while got := self.request.recv(len(ASKED), socket.MSG_WAITALL):
            self.server.asked.append(got)
            for piece in next(self.server.left):
                if piece is HANG_UP:
                    return
                self.request.sendall(piece)
                time.sleep(0.01)


def under(answers: list[list[bytes | None]], clients: int, most: int):
    """What the load generator saw and told of such a server, and what that one was asked."""
    told = []
    with Server(answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.server_address[1]
        seen = asyncio.run(
            load(port, [ASKED], clients, lambda: len(told) < most, lambda client, *said: told.append(said))
        )
        server.shutdown()
        thread.join()
    return seen, told, server.asked


def test_answers_that_come_in_pieces_are_counted_once_with_their_status_and_body():
    seen, told, asked = under([[ANSWER[:9], ANSWER[9:45], ANSWER[45:]], [REFUSAL], [ANSWER]], clients=1, most=3)
    assert told == [(200, BODY), (503, b""), (200, BODY)]
    assert dict(seen.statuses) == {200: 2, 503: 1} and seen.failed == 0
    assert len(seen.latencies) == 3
    assert asked == [ASKED] * 3


@pytest.mark.parametrize("answers", [[[HANG_UP]], [[ANSWER[:30], HANG_UP]]], ids=["no answer", "half an answer"])
def test_a_connection_that_ends_in_the_middle_counts_as_failed(answers):
    seen, told, _ = under(answers, clients=1, most=2)
    assert (seen.failed, told) == (1, [])


def test_each_client_asks_on_its_own_connection_and_all_end():
    seen, told, _ = under([[ANSWER]] * 12, clients=4, most=8)
    assert 8 <= len(told) <= 12 and seen.failed == 0

"""What is written to a client goes out in one piece, and never stays behind."""

import asyncio

import pytest

from lab.serving.connections import MOST_HELD_BYTES, Corked


class Transport:
    """Notes what reaches it."""

    def __init__(self):
        self.done = []

    def write(self, data):
        self.done.append(bytes(data))

    def close(self):
        self.done.append("closed")


async def written(*steps):
    transport = Transport()
    corked = Corked(transport, asyncio.get_running_loop())
    for step in steps:
        await asyncio.sleep(0) if step is None else step(corked)
    return transport.done


def write(data):
    return lambda corked: corked.write(data)


@pytest.mark.parametrize(
    ("steps", "done"),
    [
        ([write(b"head"), write(b"body"), Corked.flush], [b"headbody"]),
        ([write(b"head"), write(b"body"), Corked.flush, None], [b"headbody"]),
        ([write(b"100 Continue"), None], [b"100 Continue"]),  # nobody says that it ends
        ([write(b"head"), None, write(b"body"), None], [b"head", b"body"]),
        ([write(b"head"), write(b"body"), Corked.close, None], [b"headbody", "closed"]),
        ([write(bytes(MOST_HELD_BYTES)), write(b"1")], [bytes(MOST_HELD_BYTES) + b"1"]),
        ([None], []),
    ],
)
def test_it_is_sent_in_one_piece_and_none_stays_behind(steps, done):
    assert asyncio.run(written(*steps)) == done

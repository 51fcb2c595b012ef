"""Clients of the daemon: many questions at once, and floods at a steady rate."""

import select
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from . import wire

# Longer than any deadline: what takes longer is unanswered.
PATIENCE_SECONDS = 3
# What a flood's last answers are given.
PAUSE_SECONDS = 1
# Fewer than fill a socket's buffer.
IN_FLIGHT = 64
CONNECTIONS = 32


@dataclass(frozen=True)
class Question:
    name: str
    rtype: int = wire.A
    cd: bool = False

    def encode(self, ident):
        return wire.encode_query(ident, self.name, self.rtype, self.cd)


def connect_udp(port):
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    opened.connect(("127.0.0.1", port))
    return opened


def ask_udp(port, questions):
    """The response to each question, in their order; None where none came."""
    responses = [None] * len(questions)
    waiting = {}
    unsent = iter(enumerate(questions))
    with connect_udp(port) as opened:
        while True:
            while len(waiting) < IN_FLIGHT and (entry := next(unsent, None)):
                index, question = entry
                waiting[index] = time.monotonic() + PATIENCE_SECONDS
                opened.send(question.encode(index))
            if not waiting:
                return responses
            left = min(waiting.values()) - time.monotonic()
            if select.select([opened], [], [], max(left, 0))[0]:
                packet = opened.recv(65535)
                index = int.from_bytes(packet[:2], "big")
                if waiting.pop(index, None):
                    responses[index] = wire.decode_response(packet)
            now = time.monotonic()
            waiting = {index: end for index, end in waiting.items() if end > now}


def ask_tcp(port, questions):
    """The responses over TCP. Every question has a connection of its own, so that any
    worker may get it."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return list(pool.map(lambda question: ask_once_tcp(port, question), questions))


def ask_once_tcp(port, question):
    query = question.encode(0)
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as connection, \
                connection.makefile("rb") as stream:
            connection.sendall(len(query).to_bytes(2, "big") + query)
            return wire.decode_response(stream.read(int.from_bytes(stream.read(2), "big")))
    except (OSError, IndexError, ValueError):
        return None


def ask_as_stubs(port, questions):
    """The responses that stub resolvers get: over UDP, or over TCP where the response
    over UDP is truncated."""
    responses = ask_udp(port, questions)
    truncated = [n for n, response in enumerate(responses) if response and response.truncated]
    again = ask_tcp(port, [questions[n] for n in truncated])
    for n, response in zip(truncated, again):
        responses[n] = response
    return responses


def send_all(opened, questions):
    """Sends questions without waiting for their answers."""
    for index, question in enumerate(questions):
        opened.send(question.encode(index))


def flood(port, questions, rate, beside):
    """Asks every question once, `rate` of them a second. `beside` lists further
    questions, each list with how many of the flood's come before it. Gives how many
    queries were answered, and sent."""
    answered = sent = 0
    beside = sorted(beside, key=lambda entry: entry[0])
    total = len(questions) + sum(len(others) for _, others in beside)
    begin = time.monotonic()
    with connect_udp(port) as opened:
        opened.setblocking(False)
        while sent < len(questions):
            due = min(int((time.monotonic() - begin) * rate), len(questions))
            send_all(opened, questions[sent:due])
            sent = due
            while beside and beside[0][0] <= sent:
                send_all(opened, beside.pop(0)[1])
            time.sleep(0.002)
            answered += drain(opened)
        time.sleep(PAUSE_SECONDS)
        return answered + drain(opened), total


def drain(opened):
    """Reads what has arrived at a socket that does not block, and counts it."""
    count = 0
    while True:
        try:
            opened.recv(65535)
            count += 1
        except OSError:
            return count

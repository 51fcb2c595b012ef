"""A cluster's DNS that fails on command: a relay before a real name server.

It speaks UDP alone, so a question over TCP is refused by the kernel.
"""

import heapq
import random
import select
import socket
import threading
import time

WELL, SILENT, LOSSY, LATE, TRUNCATING = "well", "silent", "lossy", "late", "truncating"

# Late is within the deadline, and far beyond what was usual before.
LATENESS = 0.3
LOSS = 0.1


class Relay:
    def __init__(self, server):
        self.mode = WELL
        self.random = random.Random(1)
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind(("127.0.0.1", 0))
        self.back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.back.connect((server.host, server.port))
        self.at = f"127.0.0.1:{self.front.getsockname()[1]}"
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join(5)
        self.front.close()
        self.back.close()

    def _lost(self):
        return self.mode == LOSSY and self.random.random() < LOSS

    def _run(self):
        waiting, due, number = {}, [], 0
        while not self.stopped.is_set():
            patience = max(0, min(0.1, due[0][0] - time.monotonic())) if due else 0.1
            ready, _, _ = select.select([self.front, self.back], [], [], patience)
            now = time.monotonic()
            for sock in ready:
                try:
                    packet, client = sock.recvfrom(65535)
                except OSError:
                    continue
                if sock is self.back:
                    asked = waiting.pop(packet[:2], None)
                    if asked and not self._lost():
                        number += 1
                        late = LATENESS if self.mode == LATE else 0
                        heapq.heappush(due, (now + late, number, self._spoken(packet), *asked))
                elif self.mode != SILENT and not self._lost():
                    # IDs of several sockets meet here: one of the relay's own.
                    number += 1
                    own = (number & 0xFFFF).to_bytes(2, "big")
                    waiting[own] = (packet[:2], client)
                    self.back.send(own + packet[2:])
            while due and due[0][0] <= now:
                _, _, packet, theirs, client = heapq.heappop(due)
                self.front.sendto(theirs + packet[2:], client)

    def _spoken(self, packet):
        if self.mode != TRUNCATING:
            return packet
        # TC, the question, and nothing else.
        end = 12
        while packet[end]:
            end += 1 + packet[end]
        return packet[:2] + bytes([packet[2] | 2]) + packet[3:6] + bytes(6) + packet[12:end + 5]

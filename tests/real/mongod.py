"""Stands in for the members of a MongoDB replica set, as far as a driver looks at
them before it does anything: who they are, by the set's configuration.

  mongod.py SET HOST=ADDRESS...    the first is the primary; port 27017

mongod itself is in no registry the tests install from. Nothing is stored here.
"""

import socketserver
import struct
import sys
import threading

import bson

PORT = 27017
OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
# The octets in front of an OP_MSG's document: flags, and the section's kind.
MSG_HEAD = 5
LARGEST = 1 << 20


def document(opcode, body):
    """The command in a message."""
    if opcode == OP_QUERY:
        start = body.index(b"\0", 4) + 1 + 8
        return bson.decode(body[start:start + int.from_bytes(body[start:start + 4], "little")])
    size = int.from_bytes(body[MSG_HEAD:MSG_HEAD + 4], "little")
    return bson.decode(body[MSG_HEAD:MSG_HEAD + size])


def wire(opcode, answer, to):
    """A message that answers another."""
    data = bson.encode(answer)
    if opcode == OP_QUERY:
        code, body = OP_REPLY, struct.pack("<iqii", 8, 0, 0, 1) + data
    else:
        code, body = OP_MSG, struct.pack("<Ib", 0, 0) + data
    return struct.pack("<iiii", 16 + len(body), 1, to, code) + body


class Member(socketserver.BaseRequestHandler):
    """One connection to a member; `server.hello` says who that is."""

    def read(self, size):
        found = b""
        while len(found) < size:
            more = self.request.recv(size - len(found))
            if not more:
                raise EOFError
            found += more
        return found

    def handle(self):
        try:
            while True:
                size, number, _, opcode = struct.unpack("<iiii", self.read(16))
                if not 16 < size <= LARGEST or opcode not in (OP_QUERY, OP_MSG):
                    return
                command = next(iter(document(opcode, self.read(size - 16)))).lower()
                known = command in ("hello", "ismaster", "ping", "endsessions")
                answer = {"ok": 1} if known else {"ok": 0, "code": 59, "errmsg": "no such command"}
                if command in ("hello", "ismaster"):
                    answer = {**self.server.hello, "ok": 1}
                self.request.sendall(wire(opcode, answer, number))
        except (EOFError, OSError):
            return


class Listener(socketserver.ThreadingTCPServer):
    """A member's address."""

    daemon_threads = allow_reuse_address = True


def main():
    name, *members = sys.argv[1:]
    members = [word.split("=") for word in members]
    hosts = [f"{host}:{PORT}" for host, _ in members]
    for n, (_, address) in enumerate(members):
        listener = Listener((address, PORT), Member)
        primary = n == 0
        listener.hello = {
            "helloOk": True, "ismaster": primary, "isWritablePrimary": primary,
            "secondary": not primary, "setName": name, "setVersion": 1, "hosts": hosts,
            "primary": hosts[0], "me": hosts[n], "minWireVersion": 0, "maxWireVersion": 21,
            "maxBsonObjectSize": 1 << 24, "maxMessageSizeBytes": 48000000,
            "maxWriteBatchSize": 100000, "readOnly": False,
        }
        threading.Thread(target=listener.serve_forever).start()
    print("ready", flush=True)


if __name__ == "__main__":
    main()

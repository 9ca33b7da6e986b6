"""logind for tests: a private bus (dbus-daemon), and a program on it that answers as systemd's logind does: how long it
waits, and locks that hold a shutdown up. Only the few messages that takes are known here."""

import os
import select
import socket
import struct
import subprocess
import threading
import time

CALL, REPLY, SIGNAL = 1, 2, 4
PATH, INTERFACE, MEMBER, REPLY_SERIAL, DESTINATION, SENDER, SIGNATURE, DESCRIPTORS = 1, 2, 3, 5, 6, 7, 8, 9
BUS, BUS_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"
LOGIND, LOGIND_PATH, MANAGER = "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"


def padded(data, to):
    return data + bytes(-len(data) % to)


def text(value):
    return struct.pack("<I", len(value)) + value.encode() + b"\0"


def encode(kind, serial, fields, signature="", body=b""):
    out = b""
    for code, value in fields.items():
        letter = "u" if isinstance(value, int) else "o" if code == PATH else "s"
        out = padded(out, 8) + bytes([code, 1]) + letter.encode() + b"\0"
        out = padded(out, 4) + (struct.pack("<I", value) if letter == "u" else text(value))
    if signature:
        out = padded(out, 8) + bytes([SIGNATURE, 1]) + b"g\0" + bytes([len(signature)]) + signature.encode() + b"\0"
    head = b"l" + bytes([kind, 0, 1]) + struct.pack("<III", len(body), serial, len(out))
    return padded(head + out, 8) + body


def fields_of(data, end):
    """The header's fields, whose types are strings, paths, signatures and numbers of 32 bits."""
    at, out = 16, {}
    while at < end:
        at += -at % 8
        code, letter = data[at], chr(data[at + 2])
        at += 4
        if letter == "g":
            out[code] = data[at + 1:at + 1 + data[at]].decode()
            at += data[at] + 2
        else:
            at += -at % 4
            number = struct.unpack_from("<I", data, at)[0]
            at += 4
            out[code] = number
            if letter in "so":
                out[code] = data[at:at + number].decode()
                at += number + 1
    return out


class Logind:
    """The bus and the program. stop() ends both."""

    def __init__(self, folder, delay_seconds=3600):
        self.socket_path = os.path.join(folder, "bus")
        self.address = "unix:path=" + self.socket_path
        self.delay, self.serial, self.locks, self.asked = delay_seconds * 1000000, 0, [], []
        configuration = os.path.join(folder, "bus.conf")
        with open(configuration, "w", encoding="utf-8") as file:
            file.write(f"<busconfig><type>system</type><listen>{self.address}</listen><auth>EXTERNAL</auth>"
                       '<policy context="default"><allow user="*"/><allow own="*"/>'
                       '<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>'
                       '</policy></busconfig>')
        self.daemon = subprocess.Popen(["dbus-daemon", "--nofork", "--nopidfile", "--config-file=" + configuration],
                                       stderr=subprocess.DEVNULL)
        self.connection = self.connect()
        for name in (LOGIND, "org.freedesktop.systemd1"):
            self.ask("RequestName", "su", padded(text(name), 4) + struct.pack("<I", 0))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def connect(self):
        end = time.monotonic() + 10
        while not os.path.exists(self.socket_path) and time.monotonic() < end:
            time.sleep(0.02)
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(self.socket_path)
        self.connection.sendall(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\n")
        self.line()
        self.connection.sendall(b"NEGOTIATE_UNIX_FD\r\n")
        self.line()
        self.connection.sendall(b"BEGIN\r\n")
        self.ask("Hello")
        return self.connection

    def line(self):
        out = b""
        while not out.endswith(b"\r\n"):
            out += self.exactly(1)

    def exactly(self, size):
        out = b""
        while len(out) < size:
            got = self.connection.recv(size - len(out))
            if not got:
                raise EOFError
            out += got
        return out

    def receive(self):
        data = self.exactly(16)
        body, serial, fields = struct.unpack_from("<III", data, 4)
        size = 16 + fields + -(16 + fields) % 8 + body
        data += self.exactly(size - 16)
        return data[1], serial, fields_of(data, 16 + fields)

    def send(self, kind, fields, signature="", body=b"", fd=None):
        self.serial += 1
        data = encode(kind, self.serial, fields, signature, body)
        if fd is None:
            self.connection.sendall(data)
        else:
            socket.send_fds(self.connection, [data], [fd])
        return self.serial

    def ask(self, member, signature="", body=b""):
        serial = self.send(CALL, {PATH: BUS_PATH, INTERFACE: BUS, MEMBER: member, DESTINATION: BUS}, signature, body)
        while self.receive()[2].get(REPLY_SERIAL) != serial:
            pass

    def serve(self):
        try:
            while True:
                kind, serial, fields = self.receive()
                if kind == CALL:
                    self.answer(serial, fields)
        except (EOFError, OSError):
            pass

    def answer(self, serial, fields):
        self.asked.append(fields[MEMBER])
        reply = {REPLY_SERIAL: serial, DESTINATION: fields[SENDER]}
        if fields[MEMBER] == "Get":
            self.send(REPLY, reply, "v", b"\1t\0" + bytes(5) + struct.pack("<Q", self.delay))
        elif fields[MEMBER] == "Inhibit":
            ours, theirs = os.pipe()
            self.send(REPLY, reply | {DESCRIPTORS: 1}, "h", struct.pack("<I", 0), theirs)
            os.close(theirs)
            self.locks.append(ours)
        else:
            self.send(REPLY, reply)

    def held(self):
        """How many locks somebody holds."""
        poll = select.poll()
        for lock in self.locks:
            poll.register(lock, 0)
        return len(self.locks) - len(poll.poll(0))

    def prepare_for_shutdown(self, down):
        self.send(SIGNAL, {PATH: LOGIND_PATH, INTERFACE: MANAGER, MEMBER: "PrepareForShutdown"}, "b",
                  struct.pack("<I", int(down)))

    def stop(self):
        self.connection.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.connection.close()
        for lock in self.locks:
            os.close(lock)
        self.daemon.terminate()
        self.daemon.wait()

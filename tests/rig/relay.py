#!/usr/bin/python3
"""A bad network between a camera and its client: delays what the camera sends, in order.

    relay.py --to 127.0.0.1:8554 --jitter 4 --stall 5,0.6 --seed 1

One JSON line on standard output states its port. It forwards TCP connections, so an
RTSP client must request interleaved packets. Data from the camera is held back:

    --jitter MS          each piece by a random time of this mean (exponential), at most ten times it
    --stall EVERY,LONG   sometimes all of it, which is then released at once: on average
                         every EVERY seconds, for half to one and a half times LONG seconds

Data from the client passes at once. The same seed gives the same delays for the same pieces.
"""

import argparse
import collections
import json
import random
import socket
import threading
import time

PIECE = 1 << 16


class Downstream:
    """One direction of one connection, delayed: a thread receives, another sends."""

    def __init__(self, source, sink, weather):
        self.source, self.sink, self.weather = source, sink, weather
        self.waiting = collections.deque()
        self.ready = threading.Condition()
        for work in (self.receive, self.send):
            threading.Thread(target=work, daemon=True).start()

    def receive(self):
        due, piece = 0.0, b"..."
        while piece:
            try:
                piece = self.source.recv(PIECE)
            except OSError:
                piece = b""
            # In order: data after a late piece is late too.
            due = max(due, self.weather.release(time.monotonic()))
            with self.ready:
                self.waiting.append((due, piece))
                self.ready.notify()

    def send(self):
        try:
            while True:
                with self.ready:
                    self.ready.wait_for(lambda: self.waiting)
                    due, piece = self.waiting.popleft()
                if not piece:
                    return self.sink.shutdown(socket.SHUT_RDWR)
                time.sleep(max(0.0, due - time.monotonic()))
                self.sink.sendall(piece)
        except OSError:
            pass  # the client has disconnected; `upstream` closes the camera's side


class Weather:
    """The time at which data that arrives now is forwarded."""

    def __init__(self, jitter, stall, seed):
        self.jitter, self.stall = jitter, stall
        self.random = random.Random(seed)
        self.stalled_until = 0.0
        self.next_stall = time.monotonic() + self.around(stall[0]) if stall else float("inf")

    def around(self, mean):
        return self.random.uniform(0.5, 1.5) * mean

    def release(self, now):
        if now >= self.next_stall:
            self.stalled_until = now + self.around(self.stall[1])
            self.next_stall = self.stalled_until + self.around(self.stall[0])
        if now < self.stalled_until:
            return self.stalled_until
        delay = self.random.expovariate(1 / self.jitter) if self.jitter else 0.0
        return now + min(delay, 10 * self.jitter)


def upstream(source, sink):
    try:
        while piece := source.recv(PIECE):
            sink.sendall(piece)
    except OSError:
        pass
    finally:
        sink.close()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--to", required=True, metavar="HOST:PORT", help="the camera")
    parser.add_argument("--jitter", type=float, default=0, metavar="MS")
    parser.add_argument("--stall", metavar="EVERY,LONG", help="seconds")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    host, _, port = arguments.to.rpartition(":")
    stall = [float(part) for part in arguments.stall.split(",")] if arguments.stall else None

    server = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"port": server.getsockname()[1]}), flush=True)
    while True:
        client, _ = server.accept()
        camera = socket.create_connection((host, int(port)))
        for end in (client, camera):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Downstream(camera, client, Weather(arguments.jitter / 1000, stall, arguments.seed))
        threading.Thread(target=upstream, args=(client, camera), daemon=True).start()


if __name__ == "__main__":
    main()

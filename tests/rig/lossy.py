#!/usr/bin/python3
"""A bad network between an RTSP camera and its client over UDP: loses, swaps and repeats packets.

    lossy.py --to 127.0.0.1:8554 --codec h264 --loss 0.01 --seed 1

One JSON line on standard output states the port; another, when a client has disconnected, lists what was done
to its packets. RTSP passes unchanged except the ports in Transport; RTP and RTCP pass through this process, and
RTP packets from the camera are changed, each with its own probability:

    --loss P        any packet is lost
    --duplicate P   any packet comes twice
    --swap P        any packet comes after the following one
    --units P       a whole access unit is lost
    --sets P        a packet with a parameter set is lost
    --first P       the first packet of an access unit's slices is lost
    --last P        the last packet of an access unit is lost

The same seed does the same to the same packets.
"""

import argparse
import collections
import json
import random
import re
import socket
import threading

DATAGRAM = 1 << 16
SLICES = {"h264": range(1, 6), "h265": range(0, 32)}
PARAMETER_SETS = {"h264": {7, 8}, "h265": {32, 33, 34}}


def nal_type(codec, packet):
    """The type of the NAL unit in a packet without CSRC list and extension (RFC 6184, RFC 7798)."""
    if codec == "h264":
        kind = packet[12] & 0x1F
        return packet[13] & 0x1F if kind == 28 else kind
    kind = (packet[12] >> 1) & 0x3F
    return packet[14] & 0x3F if kind == 49 else kind


class Fate:
    """Decides what happens to each packet of one client."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.random = random.Random(arguments.seed)
        self.counts = collections.Counter()
        self.unit = None
        self.unit_is_lost = False
        self.slices = 0
        self.held = None

    def happens(self, probability, what):
        # Drawn for every packet, so that one packet's fate does not affect the next.
        drawn = self.random.random() < probability
        self.counts[what] += drawn
        return drawn

    def packets(self, packet):
        """The packets to send after this one has come, in order."""
        self.counts["packets"] += 1
        arguments = self.arguments
        unit = packet[4:8]
        kind, last = nal_type(arguments.codec, packet), bool(packet[1] & 0x80)
        if unit != self.unit:
            self.unit = unit
            self.slices = 0
            self.unit_is_lost = self.happens(arguments.units, "units")
        is_set = kind in PARAMETER_SETS[arguments.codec]
        is_slice = kind in SLICES[arguments.codec]
        self.slices += is_slice
        first = is_slice and self.slices == 1
        lost = [
            self.happens(arguments.loss, "loss"),
            self.happens(arguments.sets if is_set else 0, "sets"),
            self.happens(arguments.first if first else 0, "first"),
            self.happens(arguments.last if last else 0, "last"),
        ]
        twice = self.happens(arguments.duplicate, "duplicate")
        swapped = self.happens(arguments.swap, "swap")
        if self.unit_is_lost or any(lost):
            return []
        out = [packet] * (1 + twice)
        if self.held is not None:
            out.append(self.held)
            self.held = None
        elif swapped:
            self.held = out.pop()
        return out


def pair():
    """Two UDP sockets on adjacent ports, the first even (RFC 3550, 11)."""
    while True:
        rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        rtp.bind(("127.0.0.1", 0))
        port = rtp.getsockname()[1]
        rtcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            if port % 2 == 0:
                rtcp.bind(("127.0.0.1", port + 1))
                for end in (rtp, rtcp):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
                return port, (rtp, rtcp)
        except OSError:
            pass
        rtp.close()
        rtcp.close()


class Client:
    """One RTSP connection and the packets that belong to it."""

    def __init__(self, client, camera, arguments):
        self.client, self.camera = client, camera
        self.fate = Fate(arguments)
        self.ports = None
        self.near_port, self.near = pair()
        self.far_port, self.far = pair()

    def to_camera(self, head):
        def rewrite(match):
            self.ports = (int(match[1]), int(match[1]) + 1)
            return f"client_port={self.far_port}-{self.far_port + 1}"

        return re.sub(r"client_port=(\d+)-\d+", rewrite, head)

    def to_client(self, head):
        match = re.search(r"server_port=(\d+)-\d+", head)
        if match and self.ports:
            camera_port = int(match[1])
            head = head.replace(match[0], f"server_port={self.near_port}-{self.near_port + 1}")
            ours = f"client_port={self.far_port}-{self.far_port + 1}"
            head = head.replace(ours, f"client_port={self.ports[0]}-{self.ports[1]}")
            for index in (0, 1):
                down = (self.far[index], self.near[index], self.ports[index], index == 0)
                up = (self.near[index], self.far[index], camera_port + index, False)
                for way in (down, up):
                    threading.Thread(target=self.datagrams, args=way, daemon=True).start()
        return head

    def datagrams(self, source, sink, port, suffers):
        while packet := source.recv(DATAGRAM):
            for out in self.fate.packets(packet) if suffers else [packet]:
                sink.sendto(out, ("127.0.0.1", port))

    def messages(self, source, sink, rewrite):
        """Forwards RTSP messages with rewritten headers."""
        waiting = b""
        try:
            while piece := source.recv(DATAGRAM):
                waiting += piece
                while (end := waiting.find(b"\r\n\r\n")) >= 0:
                    head = waiting[: end + 4].decode("latin-1")
                    length = re.search(r"(?i)content-length: *(\d+)", head)
                    body = end + 4 + (int(length[1]) if length else 0)
                    if len(waiting) < body:
                        break
                    sink.sendall(rewrite(head).encode("latin-1") + waiting[end + 4 : body])
                    waiting = waiting[body:]
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def run(self):
        down = threading.Thread(
            target=self.messages, args=(self.camera, self.client, self.to_client), daemon=True
        )
        down.start()
        self.messages(self.client, self.camera, self.to_camera)
        down.join()
        print(json.dumps(self.fate.counts), flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--to", required=True, metavar="HOST:PORT", help="the camera")
    parser.add_argument("--codec", choices=sorted(PARAMETER_SETS), default="h264")
    for what in ("loss", "duplicate", "swap", "units", "sets", "first", "last"):
        parser.add_argument(f"--{what}", type=float, default=0, metavar="P")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    host, _, port = arguments.to.rpartition(":")

    server = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"port": server.getsockname()[1]}), flush=True)
    while True:
        client, _ = server.accept()
        camera = socket.create_connection((host, int(port)))
        threading.Thread(target=Client(client, camera, arguments).run, daemon=True).start()


if __name__ == "__main__":
    main()

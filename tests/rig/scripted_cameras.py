#!/usr/bin/python3
"""Scripted cameras for tests: each plays a prepared clip with one unusual behavior.

    scripted_cameras.py --clips DIR --group markers

One JSON line on standard output lists the cameras once all of them listen. Each line on standard input is
answered with a JSON line of each camera's report. The end of the input ends the process.

The cases are in scripted/cases.
"""

import argparse
import asyncio
import json
import pathlib
import sys

from scripted import cases, clips


class Fleet:
    """A camera for each case and client."""

    def __init__(self, group, long=False, only="", clients=cases.CLIENTS):
        self.members = [(case, client, case.make()) for case in cases.load()[group]
                        for client in case.clients if client in clients and case.long == long and only in case.name]

    async def start(self):
        for _, _, camera in self.members:
            await camera.start()

    def describe(self):
        return [
            {"case": case.name, "client": client, "url": camera.url_with_login, "config": case.config,
             "expected": case.expected, "words": case.words, "frames": case.frames, "recorded": case.recorded,
             "steady": case.steady, "keeps_up": case.keeps_up, "lasts": case.lasts, "segments": case.segments,
             "plays": case.plays, "md5s": camera.judge()}
            for case, client, camera in self.members
        ]

    def report(self):
        return [camera.report() for _, _, camera in self.members]


async def serve(fleet):
    await fleet.start()
    print(json.dumps(fleet.describe()), flush=True)
    asked = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(asked), sys.stdin)
    while await asked.readline():
        print(json.dumps(fleet.report()), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=pathlib.Path, default=clips.folder, help="the folder for clips")
    parser.add_argument("--group", required=True, choices=sorted(cases.load()))
    parser.add_argument("--long", action="store_true", help="the long cases instead of the others")
    parser.add_argument("--client", action="append", help="only the cases with this client")
    arguments = parser.parse_args()
    clips.folder = arguments.clips
    asyncio.run(serve(Fleet(arguments.group, arguments.long, clients=arguments.client or cases.CLIENTS)))


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""Runs the service against scripted cameras, and prints a table of the outcome of each.

    camera_table.py --vas target/debug/vas [--group markers] [--case WORDS] [--json FILE]

The promises in tests/promises/cameras.rs check the same cases; this prints them.
"""

import argparse
import asyncio
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from scripted import cases, clips
from scripted_cameras import Fleet

# Cameras in one service at a time.
BATCH = 16
# Longest wait for frames, in seconds; longer for cases with many. A batch without a fault ends earlier.
PATIENCE = 25.0
# Longest wait for a reason: a camera may answer for a while before it is known that nothing comes.
PATIENCE_FOR_WORDS = 60.0
# The fewest packets of a segment of 3 s that nothing ends early.
LEAST_PACKETS = 40
# The shortest run of a batch, so that recordings have more than one file.
AT_LEAST = 8.0


def config(directory, export, members):
    """A service with all these cameras, as TOML."""
    text = f'[service]\nrun_dir = "{directory}/run"\n[export]\ndir = "{export}"\n'
    if any(case.recorded for case, _, _ in members):
        (directory / "recordings").mkdir()
        text += f'[record]\ndir = "{directory}/recordings"\nsegment = "3s"\nkeep_free = "1MiB"\n'
    for number, (case, client, camera) in enumerate(members):
        text += f'[[camera]]\nid = "cam-{number}"\nurl = "{camera.url_with_login}"\nrtsp_client = "{client}"\n{case.config}\n'
    return text


class Watcher:
    """One reader, and the frames that it has seen."""

    def __init__(self, vas, camera, export):
        self.vas, self.camera, self.export, self.frames = vas, camera, export, []

    async def run(self):
        while not (self.export / self.camera / "readers").exists():
            await asyncio.sleep(0.05)
        self.process = await asyncio.create_subprocess_exec(
            self.vas, "watch", self.camera, "--dir", self.export, "--json", "--md5",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, limit=1 << 24)
        try:
            async for line in self.process.stdout:
                self.frames.append(json.loads(line) | {"seen": time.monotonic()})
        finally:
            if self.process.returncode is None:
                self.process.kill()


def is_done(watcher, case, reasons):
    """Whether everything expected of a case has come."""
    if case.streams:
        return len(watcher.frames) >= case.frames
    is_reported = watcher.camera in reasons and case.words in reasons[watcher.camera]
    return is_reported or case.expected == "reported" and bool(watcher.frames)


async def run(vas, members):
    """The outcome of each camera."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="cameras-"))
    shared = pathlib.Path(tempfile.mkdtemp(prefix="cameras-", dir="/dev/shm"))
    export = shared / "vas"
    for _, _, camera in members:
        await camera.start()
    (directory / "vas.toml").write_text(config(directory, export, members))
    log = open(directory / "log", "wb")
    service = await asyncio.create_subprocess_exec(
        vas, "run", "--config", directory / "vas.toml", "--log-format", "human", stdout=log, stderr=log,
        env=dict(os.environ, AI_FRAME_EXPORT_ENABLED="true"))
    began = time.monotonic()
    watchers = [Watcher(vas, f"cam-{number}", export) for number in range(len(members))]
    tasks = [asyncio.ensure_future(one.run()) for one in watchers]
    patience = max(PATIENCE, *(10 + case.frames / camera.fps if case.streams else PATIENCE_FOR_WORDS
                               for case, _, camera in members))
    reasons = {}
    while (lasted := time.monotonic() - began) < patience and service.returncode is None:
        await asyncio.sleep(0.2)
        try:
            latest = json.loads((directory / "run/status.json").read_text())
        except OSError:
            continue
        # The reason is cleared while the service reconnects.
        # While the camera connects, a reason can be about the service.
        reasons.update({one["id"]: one["reason"] for one in latest["cameras"]
                        if one.get("reason") and one["state"] != "connecting"})
        if lasted > AT_LEAST and all(is_done(one, case, reasons) for one, (case, _, _) in zip(watchers, members)):
            break
    try:
        status = json.loads((directory / "run/status.json").read_text())
    except OSError:
        status = {"cameras": []}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if service.returncode is None:
        service.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(service.wait(), 15)
        except asyncio.TimeoutError:
            service.kill()
    rows = []
    states = {one["id"]: one for one in status["cameras"]}
    for camera, state in states.items():
        if not state.get("exported") and (state["state"] == "connecting" or not state.get("reason")):
            state["reason"] = reasons.get(camera, "")
    for number, ((case, client, camera), watcher) in enumerate(zip(members, watchers)):
        camera.server.close()
        rows.append(judge(case, client, camera, watcher.frames, states.get(f"cam-{number}", {}), began,
                          sorted((directory / "recordings" / f"cam-{number}").glob("*/*.mp4")) if case.recorded else []))
    for row, (case, client, _) in zip(rows, members):
        row.update(case=case.name, client=client, expected=case.expected)
    shutil.rmtree(shared, ignore_errors=True)
    if not os.environ.get("KEEP"):
        shutil.rmtree(directory, ignore_errors=True)
    else:
        print(directory, file=sys.stderr)
    return rows


def judge(case, client, camera, frames, status, began, files):
    right = camera.judge()
    wrong = [one for one in frames if one["md5"] not in right]
    unmarked = [one for one in wrong if one["after_loss"] == "no" and not one["corrupt"]]
    places = collections.defaultdict(list)
    for place, md5 in enumerate(right):
        places[md5].append(place)
    seen = [places[one["md5"]][0] for one in frames if one["md5"] in places]
    # Frames may be left out, but they must be in display order.
    breaks = sum((after - before) % len(right) > len(right) // 2 for before, after in zip(seen, seen[1:])
                 if len(right) > 20)
    gaps = [after["seen"] - before["seen"] for before, after in zip(frames, frames[1:])]
    row = {
        "frames": len(frames), "wrong": len(wrong), "unmarked": len(unmarked),
        "marked": sum(one["after_loss"] == "yes" or one["corrupt"] for one in frames), "breaks": breaks,
        "first_s": round(frames[0]["seen"] - began, 1) if frames else None, "gap_s": round(max(gaps, default=0), 1),
        "state": status.get("state"), "reason": (status.get("reason") or "")[:200],
        "inputs": [{key: one.get(key) for key in ("client", "client_why", "why")} for one in status.get("inputs", [])],
        "connections": camera.connections, "asked": camera.asked, "answered": camera.answered,
        "wrong_logins": sum(camera.wrong_logins.values()), "reconnects": status.get("reconnects"),
        "plays": (status.get("stream") or {}).get("client"),
        "dropped": {key: value for key, value in (status.get("dropped") or {}).items() if value},
    }
    if case.steady:
        row["late"] = lateness(camera, right, frames)
    if case.recorded:
        row["files"] = [recorded(file, right) for file in files]
        row["recorder"] = (status.get("recorder") or {}).get("state")
    row["verdict"] = verdict(case, client, row)
    return row


def lateness(camera, right, frames):
    """The maximum of the seconds from a picture's sending to its publication, and of the part not in its age."""
    worst, hidden = 0, 0
    for one in frames:
        if one["md5"] not in right:
            continue
        place = right.index(one["md5"])
        sent = [at for at in camera.sent[place::len(right)] if at <= one["published_ns"]]
        if sent:
            late = (one["published_ns"] - sent[-1]) / 1e9
            worst = max(worst, late)
            hidden = max(hidden, late - one["age_ns"] / 1e9)
    return round(worst, 2), round(hidden, 2)


def recorded(file, right):
    """Counts of packets, pictures, wrong pictures, and times that do not rise."""
    probe = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time", "-of", "csv=p=0", file]
    text = subprocess.run(probe, capture_output=True, text=True, check=False).stdout
    times = [float(line.strip(",")) for line in text.split() if line.strip(",") != "N/A"]
    decode = ["ffmpeg", "-v", "error", "-threads", "1", "-i", file, "-fps_mode", "passthrough", "-pix_fmt", "nv12", "-f",
              "framemd5", "-"]
    lines = subprocess.run(decode, capture_output=True, text=True, check=False).stdout.splitlines()
    md5s = [line.split(",")[-1].strip() for line in lines if not line.startswith("#")]
    return [len(times), len(md5s), sum(one not in right for one in md5s),
            sum(after <= before for before, after in zip(times, times[1:]))]


def verdict(case, client, row):
    """`ok`, or the differences from what is expected."""
    if case.expected == "refused":
        faults = [] if row["state"] == "refused" else [f"state {row['state']}"]
        if row["wrong_logins"] > (row["reconnects"] or 0) + 1:
            faults.append(f"{row['wrong_logins']} wrong logins in {(row['reconnects'] or 0) + 1} tries")
        return "; ".join(faults) or "ok"
    if case.expected == "words":
        faults = ["frames"] if row["frames"] else []
        return "; ".join(faults + ([] if case.words in row["reason"] else ["not reported"])) or "ok"
    if case.expected == "reported" and not row["frames"]:
        return "ok" if row["reason"] else "no reason"
    faults = []
    if row["frames"] < case.frames:
        faults.append(f"{row['frames']} frames of {case.frames}")
    if row["unmarked"]:
        faults.append(f"{row['unmarked']} wrong, not marked")
    if case.expected == "right":
        if row["wrong"] > row["unmarked"]:
            known = "marked" if client != "ffmpeg" and row["marked"] else "loss unknown"
            faults.append(f"{row['wrong'] - row['unmarked']} wrong, {known}")
        if row["marked"] > 5 and row["marked"] * 4 > row["frames"]:
            faults.append(f"{row['marked']} marked")
        if row["breaks"] > 2:
            faults.append(f"{row['breaks']} out of order")
    if row["wrong_logins"]:
        faults.append(f"{row['wrong_logins']} wrong logins")
    if case.lasts and row["reconnects"]:
        faults.append(f"{row['reconnects']} reconnects")
    if case.plays and client == "auto" and row.get("plays") != case.plays:
        faults.append(f"{row.get('plays')} plays it")
    if case.steady:
        row.setdefault("late", [0, 0])
        if row["late"][0] > 5 or row["gap_s"] > 5:
            faults.append(f"{row['late'][0]} s late, gap {row['gap_s']} s")
        if row["late"][1] > 5:
            faults.append(f"age {row['late'][1]} s too low")
    if case.recorded:
        if not row["files"]:
            faults.append("no recording")
        if any(packets != pictures for packets, pictures, *_ in row["files"]):
            faults.append("recordings do not decode: " + str([one[:2] for one in row["files"]]))
        if case.expected == "right" and any(one[2] for one in row["files"]):
            faults.append("recordings are wrong")
        if any(one[3] for one in row["files"]):
            faults.append("recorded times do not rise")
        if case.segments and any(one[0] < LEAST_PACKETS for one in row["files"][:-1]):
            faults.append(f"{len(row['files'])} files, shorter than a segment")
    return "; ".join(faults) or "ok"


COLUMNS = ("group", "case", "client", "verdict", "frames", "first_s", "state", "reason")


TITLES = {
    "markers": "RTP's marker where it ends no picture", "endings": "Pictures that do not end with a marked slice",
    "parameter_sets": "Parameter sets", "requests": "Requests of the server's own", "logins": "Logins",
    "streams": "Streams whose identity, numbers or times change", "descriptions": "Descriptions out of form",
    "headers": "Answers out of form", "redirections": "Redirections", "transports": "Ways that packets come",
    "slow": "Slow cameras", "formats": "Rare kinds of pictures",
}


def seen(rows, case, client):
    """A short summary of the latest row of a case."""
    row = rows.get((case.name, client))
    if row is None:
        return "not tried"
    words = re.sub(r": \[.*?\]\]", "", verdict(case, client, row))
    return words if words != "ok" else {"refused": "refused", "words": "reported"}.get(case.expected, "ok")


def markdown(before, now):
    """The tables of docs/ref/cameras.md: each case, what is expected, and the outcome of two programs."""
    programs = []
    for path in (before, now):
        groups = collections.defaultdict(dict)
        for row in map(json.loads, path.open()):
            groups[row["group"]][row["case"], row["client"]] = row
        programs.append(groups)
    for name, title in TITLES.items():
        print(f"\n## {title}\n\n| case | client | expected | before | now |\n|---|---|---|---|---|")
        for case in cases.load()[name]:
            if case.long:
                continue
            lines = {client: tuple(seen(groups[name], case, client) for groups in programs) for client in case.clients}
            if len(set(lines.values())) == 1:
                lines = {"both" if len(lines) == 2 else next(iter(lines)): next(iter(lines.values()))}
            for client, (then, today) in lines.items():
                print(f"| {case.name} | {client} | {case.expected} | {then} | {today} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vas", type=pathlib.Path, help="the program under test")
    parser.add_argument("--show", type=pathlib.Path, nargs=2, metavar="FILE",
                        help="print the tables of docs/ref/cameras.md from two files of --json")
    parser.add_argument("--group", action="append", help="only these groups")
    parser.add_argument("--case", default="", help="cases with these words in their names")
    parser.add_argument("--client", help="only this client")
    parser.add_argument("--long", action="store_true", help="the long cases instead of the others")
    parser.add_argument("--clips", type=pathlib.Path, default=clips.folder)
    parser.add_argument("--json", type=pathlib.Path, help="add the rows to this file")
    parser.add_argument("--batch", type=int, default=BATCH)
    arguments = parser.parse_args()
    clips.folder = arguments.clips
    if arguments.show:
        markdown(*arguments.show)
        return
    if not arguments.vas:
        parser.error("--vas is needed")
    for group in arguments.group or cases.load():
        members = Fleet(group, arguments.long, arguments.case).members
        if arguments.client:
            members = [one for one in members if one[1] == arguments.client]
        # Long cases run concurrently.
        members.sort(key=lambda one: one[0].frames / one[2].fps)
        for at in range(0, len(members), arguments.batch):
            rows = asyncio.run(run(arguments.vas, members[at:at + arguments.batch]))
            for row in rows:
                row["group"] = group
                print(" | ".join(str(row[key]) for key in COLUMNS), flush=True)
                if arguments.json:
                    with arguments.json.open("a") as file:
                        file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()

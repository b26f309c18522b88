"""Tables from the raw results of bench/peers."""

import collections
import json
import pathlib
import statistics

# A way that delivers less than this part of the cameras' pictures has not done the work.
CARRIED = 0.95
# In a quiet round other programs took at most this part of the processors, whichever way's turn it was.
QUIET = 0.1
PLACE = ("bare", "vas", "iceoryx2", "gstreamer", "frigate", "opencv")

# One way's medians over rounds. `beyond` is the processor time a picture over the same round's bare decode, consumers
# included; `bare` that of bare decode. Ages in ms.
Summary = collections.namedtuple(
    "Summary", "delivering consuming beyond bare p50 p99 spread mib frames carried rounds others")


def load(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines() if line.startswith("{")]


def summaries(results):
    """Summaries by (size, fps, cameras, quiet) and way."""
    rounds = collections.defaultdict(list)
    for result in results:
        if not result["stopped"]:
            rounds[result["size"], result["fps"], result["cameras"], result["round"]].append(result)
    groups = collections.defaultdict(lambda: collections.defaultdict(list))
    for key, of_round in rounds.items():
        if all(result["way"] != "bare" for result in of_round):
            continue  # It was interrupted, and compares nothing.
        quiet = max(result["others"] for result in of_round) <= QUIET
        for result in of_round:
            groups[*key[:3], quiet][result["way"]].append(result)
    return {key: {way: summary(group[way], group["bare"]) for way in PLACE if group.get(way)}
            for key, group in sorted(groups.items(), key=lambda item: (int(item[0][0].split("x")[0]), item[0][2:]))}


def summary(results, bare):
    of_round = {result["round"]: result for result in bare}
    whole = lambda result: result["delivering_ms"] + result["consuming_ms"]
    median = lambda values: statistics.median(values) if (values := list(values)) else None
    # Per picture sent: without sense where pictures were not decoded.
    done = lambda result: result["frames"] >= CARRIED
    beyond = [whole(result) - whole(mate) for result in results
              if (mate := of_round.get(result["round"])) and done(result) and done(mate)]
    ages = [result["age_us"] for result in results if result["age_us"]]
    p99 = [age[99] / 1000 for age in ages]
    return Summary(
        delivering=median(result["delivering_ms"] for result in results),
        consuming=median(result["consuming_ms"] for result in results),
        beyond=median(beyond), bare=median(map(whole, bare)),
        p50=median(age[50] / 1000 for age in ages), p99=median(p99), spread=(min(p99, default=0), max(p99, default=0)),
        mib=median((result["delivering_mib"] + result["consuming_mib"]) / result["cameras"] for result in results),
        frames=median(result["frames"] for result in results),
        carried=bool(beyond) and median(result["frames"] for result in results) >= CARRIED,
        rounds=len(results), others=median(result["others"] for result in results),
    )


def number(value, width, digits):
    return " " * (width - 1) + "-" if value is None else f"{value:{width}.{digits}f}"


def costs(results):
    """The tables of costs and ages."""
    lines = ["ms of processor a picture; age in ms at the consumer; MiB (Pss) a camera, with its consumer; others: part of all",
             "processors that other programs took; medians of rounds"]
    for (size, fps, cameras, quiet), group in summaries(results).items():
        lines.append(f"\n{size} at {fps}, {cameras} camera{'s' if cameras > 1 else ''}, "
                     f"{'quiet' if quiet else 'busy'} machine")
        lines.append("  way        delivering  consumers  beyond bare  age p50  age p99      MiB  frames  others  rounds")
        for way, each in group.items():
            carried = "" if each.carried else "  not carried: no comparison"
            lines.append(f"  {way:<10}{number(each.delivering, 11, 3)}{number(each.consuming, 11, 3)}"
                         f"{number(each.beyond, 13, 3)}{number(each.p50, 9, 1)}{number(each.p99, 9, 1)}"
                         f"{number(each.mib, 9, 1)}{number(each.frames, 8, 2)}{number(each.others, 8, 2)}"
                         f"{each.rounds:8}{carried}")
        lines += against(group)
    return lines


def against(group):
    """The service against the best peer, and against the best that does not use its decoder."""
    lines = []
    if "vas" not in group or not group["vas"].carried:
        return lines
    for words, left_out in (("best peer", ()), ("best with a decoder of its own", ("iceoryx2",))):
        peers = {way: each for way, each in group.items() if way not in ("bare", "vas", *left_out) and each.carried}
        if not peers or group["vas"].beyond is None:
            continue
        cheapest = min(peers, key=lambda way: peers[way].beyond)
        freshest = min(peers, key=lambda way: peers[way].p99)
        ours = group["vas"]
        theirs = peers[cheapest].beyond
        # Below, the ratio would be one of two noises.
        ratio = f", {ours.beyond / theirs:.2f}" if theirs > 0.05 * ours.bare else ""
        lines.append(f"  vas and the {words}: beyond bare decode {ours.beyond:.3f} and {theirs:.3f} ms ({cheapest}){ratio}; "
                     f"age p99 {ours.p99:.1f} and {peers[freshest].p99:.1f} ms ({freshest}), "
                     f"{ours.p99 / peers[freshest].p99:.2f}")
    return lines


def best(results):
    """The quiet rounds' summaries where there are such, otherwise the busy rounds', by (size, fps, cameras)."""
    return {key[:3]: group for key, group in summaries(results).items()}


def stopped(results):
    """What others get while one of three consumers is stopped."""
    rows = [result for result in results if result["stopped"] and "stopped_frames" in result]
    lines = []
    for key in sorted({(row["size"], row["fps"], row["cameras"]) for row in rows}):
        size, fps, cameras = key
        lines.append(f"\n{size} at {fps}, cameras: {cameras}, three consumers each, the first stopped: part of their frames "
                     "that the other two get")
        lines.append("  way           before  stopped  resumed   age p99 before   stopped   rounds")
        group = [row for row in rows if (row["size"], row["fps"], row["cameras"]) == key]
        for way in PLACE:
            ours = [row for row in group if row["way"] == way]
            if ours:
                median = lambda name: statistics.median(row[name] for row in ours)
                p99 = lambda name: statistics.median([row[name][99] / 1000 for row in ours if row[name]] or [float("nan")])
                lines.append(f"  {way:<10}{median('frames'):10.2f}{median('stopped_frames'):9.2f}"
                             f"{median('again_frames'):9.2f}{p99('age_us'):17.1f}{p99('stopped_age_us'):10.1f}"
                             f"{len(ours):9}")
    return lines


def all_of(results):
    return "\n".join(costs(results) + stopped(results))

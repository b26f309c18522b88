"""Malformed answers, with which FFmpeg's client streams."""

import re

from .. import clips, nal
from ..camera import SESSION, SILENT, Answer, Camera
from ..login import PASSWORD, USER, Digest, Login
from . import CLIENTS, Case, group


# Enough frames to show that a camera streams; other cases check their content.
FEW = 20


def camera(*answers, **more):
    return lambda: Camera(clips.units(nal.H264), answers=answers, **more)


def of(method, change):
    """Changes the answers to one method, or with `*` to all."""
    def step(_camera, _session, request, answer):
        if method in ("*", request.method) and answer.status.startswith("RTSP/1.0 200"):
            return change(answer)
        return answer
    return step


def sets(method, name, value):
    return of(method, lambda answer: answer.set(name, value))


def edits(method, name, pattern, by):
    return of(method, lambda answer: answer.edit(name, pattern, by))


def drops(method, name):
    return of(method, lambda answer: answer.drop(name))


# -- Descriptions

HEAD = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
BARE = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"


def describes(text):
    return {"description": lambda _camera: text}


def video_with(pattern, by, count=1):
    """The usual description, changed."""
    def describe(camera):
        text = HEAD + "a=control:*\r\n" + camera.video()
        changed = re.sub(pattern, by, text, count=count)
        assert changed != text, pattern
        return changed
    return {"description": describe}


AUDIO = "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=control:track2\r\n"
METADATA = "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=control:track3\r\n"
BACKCHANNEL = "m=audio 0 RTP/AVP 0\r\na=control:track4\r\na=sendonly\r\n"


def descriptions():
    for name, more in {
        "only `m`, `rtpmap` and `control`": describes(HEAD + BARE),
        "`o=- 1001 1 IN` and `c=IN`": describes(
            "v=0\r\no=- 1001 1 IN\r\ns=x\r\nm=video 0 RTP/AVP 96\r\nc=IN\r\na=control:track1\r\n"
            "a=rtpmap:96 H264/90000\r\n"),
        "without `o`, `s` and `t`": describes("v=0\r\n" + BARE),
        "without `v`": describes(HEAD.replace("v=0\r\n", "") + BARE),
        "`s=` empty": describes(HEAD.replace("s=x", "s=") + BARE),
        "an `a=range` that is empty": describes(HEAD + "a=range:\r\n" + BARE),
        "line feeds alone": describes((HEAD + BARE).replace("\r\n", "\n")),
        "no line end at the end": describes((HEAD + BARE).removesuffix("\r\n")),
        "an empty line in the middle": describes(HEAD + "\r\n" + BARE),
        "a line that is no SDP": describes(HEAD + "nonsense\r\n" + BARE),
        "spaces at line ends": describes((HEAD + BARE).replace("\r\n", " \r\n")),
        "a zero byte at the end": describes(HEAD + BARE + "\0"),
        "Latin-1 in the name": describes(HEAD.replace("s=x", "s=Kamera Nürnberg") + BARE),
        "`b=AS:` without a number": describes(HEAD + BARE.replace("a=rtpmap", "b=AS:\r\na=rtpmap", 1)),
        "`h264` in lower case": video_with("H264/", "h264/"),
        "`H264` without a clock rate": video_with("H264/90000", "H264"),
        "`H264/90000/1`": video_with("H264/90000", "H264/90000/1"),
        "clock rate 30000": {"clock": 30000},
        "clock rate 1000": {"clock": 1000},
        "clock rate 48000, no parameter sets": {"clock": 48000, "parameters": False},
        "`fmtp` with spaces": video_with(";", "; "),
        "`fmtp` with a semicolon at the end": video_with(r"(a=fmtp[^\r]*)", r"\1;"),
        "`fmtp` without packetization-mode": video_with("packetization-mode=1;", ""),
        "packetization-mode 0": video_with("packetization-mode=1", "packetization-mode=0"),
        "`m=video` with a port": video_with("m=video 0", "m=video 5004"),
        "`m=video 0 RTP/AVP 96 97`": video_with("RTP/AVP 96", "RTP/AVP 96 97"),
        "`m=video 0 RTP/AVPF 96`": video_with("RTP/AVP 96", "RTP/AVPF 96"),
        "no `control` at all": video_with("a=control:track1\r\n", ""),
        "`control` in the session alone": {"description": lambda c: HEAD + "a=control:track1\r\n"
                                           + c.video().replace("a=control:track1\r\n", "")},
        "`control` with the whole address": {"description": lambda c: HEAD + c.video().replace(
            "control:track1", f"control:{c.url}/track1")},
        "`control` with another host": {"description": lambda c: HEAD + c.video().replace(
            "control:track1", f"control:rtsp://0.0.0.0:{c.port}/live/track1")},
        "`control` with a query": video_with("control:track1", "control:track1?a=b&c=d"),
        "`control:trackID=1`": video_with("control:track1", "control:trackID=1"),
        "a `framerate` of 0": {"media": "a=framerate:0\r\n"},
        "a `framerate` that is no number": {"media": "a=framerate:fast\r\n"},
        "a `framesize` of another size": {"media": "a=framesize:96 1920-1080\r\na=x-dimensions:1920,1080\r\n"},
        "sound before the video": {"description": lambda c: HEAD + AUDIO + c.video()},
        "sound, ONVIF's metadata and a back channel behind": {
            "description": lambda c: HEAD + c.video() + AUDIO + METADATA + BACKCHANNEL},
        "ONVIF's metadata before the video": {"description": lambda c: HEAD + METADATA + c.video()},
        "the video twice": {"description": lambda c: HEAD + c.video() + c.video().replace("track1", "track9")},
    }.items():
        yield f"description: {name}", camera(**more)


# -- Headers

def headers():
    kind = "Content-Type"
    yield "Content-Type: application/sdp; charset=utf-8", camera(sets("DESCRIBE", kind, "application/sdp; charset=utf-8"))
    yield "Content-Type: application/sdp;charset=utf-8", camera(sets("DESCRIBE", kind, "application/sdp;charset=utf-8"))
    yield "Content-Type: Application/SDP", camera(sets("DESCRIBE", kind, "Application/SDP"))
    yield "no Content-Type", camera(drops("DESCRIBE", kind))
    yield "Content-Base without the last slash", camera(edits("DESCRIBE", "Content-Base", "/$", ""))
    yield "no Content-Base", camera(drops("DESCRIBE", "Content-Base"))
    yield "Content-Location alone", camera(of("DESCRIBE", lambda a: a.rename("Content-Base", "Content-Location")))
    yield "Content-Base of another host", camera(edits("DESCRIBE", "Content-Base", "127.0.0.1", "192.0.2.7"))
    yield "Content-Base empty", camera(sets("DESCRIBE", "Content-Base", ""))
    yield "Content-Base with a login in it", camera(edits("DESCRIBE", "Content-Base", "rtsp://", "rtsp://a:b@"))

    for value in (f"{SESSION};timeout=60;foo=bar", f"{SESSION}; timeout=60", f"{SESSION} ;timeout=60",
                  f"{SESSION};timeout = 60", f"{SESSION};timeout=", f"{SESSION};timeout=x", f"{SESSION};", f"  {SESSION}  ",
                  f"{SESSION};timeout=60.5", f"{SESSION};timeout=0", f"{SESSION};Timeout=60", f"{SESSION};foo"):
        yield f"Session: `{value}`", camera(sets("SETUP", "Session", value))
    for name, value in (("with signs", "A1-b2_c3.d4$e5+f6"), ("with odd signs", "{0A1B-2C}~=/,"), ("of 200 letters", "x" * 200)):
        yield f"Session {name}", camera(sets("SETUP", "Session", f"{value};timeout=60"), sets("PLAY", "Session", value))
    yield "no Session in the answer to PLAY", camera(drops("PLAY", "Session"))
    yield "another Session in the answer to PLAY", camera(sets("PLAY", "Session", "87654321"))

    for name, by in (
        ("an unknown field", r"\g<0>;foo=bar"), ("a field of the maker", r"\g<0>;x-dest=1.2.3.4;keep"),
        ("mode in quotation marks", r'\g<0>;mode="PLAY"'), ("an ssrc that RTP does not have", r"\g<0>;ssrc=0BADCAFE"),
        ("a short ssrc", r"\g<0>;ssrc=BADC"), ("an ssrc with a space", r"\g<0>;ssrc= 11223344"),
        ("an ssrc that is too long", r"\g<0>;ssrc=0011223344"), ("an ssrc that is no number", r"\g<0>;ssrc=camera01"),
        ("an empty ssrc", r"\g<0>;ssrc="), ("a semicolon at the end", r"\g<0>;"),
        ("no interleaved", ""), ("one channel", r"interleaved=0"), ("spaces", r" interleaved=0-1 "),
        ("source and destination", r"destination=127.0.0.1;source=127.0.0.1;\g<0>"),
        ("server_port, though over TCP", r"\g<0>;server_port=6970-6971"),
    ):
        yield f"Transport with {name}", camera(edits("SETUP", "Transport", r"interleaved=\d+-\d+", by))
    yield "Transport without unicast", camera(edits("SETUP", "Transport", "unicast;", ""))
    yield "Transport in lower case", camera(of("SETUP", lambda a: a.edit("Transport", "RTP/AVP/TCP", "rtp/avp/tcp")))
    yield "Transport: RTP/AVP;interleaved", camera(edits("SETUP", "Transport", "RTP/AVP/TCP", "RTP/AVP"))
    yield "no Transport", camera(drops("SETUP", "Transport"))

    for name, value in (
        ("an untrue seq", "url=track1;seq=30007;rtptime=100000"), ("an untrue rtptime", "url=track1;seq=20000;rtptime=0"),
        ("both untrue", "url=track1;seq=30007;rtptime=4000000000"), ("another url", "url=rtsp://0.0.0.0/x;seq=1;rtptime=1"),
        ("empty values", "url=;seq=;rtptime="), ("no seq", "url=track1;rtptime=100000"), ("no url", "seq=20000;rtptime=100000"),
        ("signed values", "url=track1;seq=-1;rtptime=-1"), ("values too large", "url=track1;seq=70000;rtptime=5000000000"),
        ("spaces", "url=track1; seq=20000; rtptime=100000"), ("nothing", ""), ("no sense", "nonsense"),
    ):
        yield f"RTP-Info with {name}", camera(sets("PLAY", "RTP-Info", value))
    for value in ("npt=now-", "npt=0.0-0.0", "clock=20260101T000000Z-", "", "nonsense"):
        yield f"Range: `{value}`", camera(sets("PLAY", "Range", value))

    yield "no CSeq", camera(drops("*", "CSeq"))
    yield "no CSeq in the answer to PLAY", camera(drops("PLAY", "CSeq"))
    yield "CSeq always 1", camera(sets("*", "CSeq", "1"))
    yield "CSeq one too high", camera(of("*", lambda a: a.set("CSeq", str(int(dict(a.headers)["CSeq"]) + 1))))
    yield "CSeq that is no number", camera(sets("*", "CSeq", "abc"))
    yield "CSeq in upper case", camera(of("*", lambda a: a.rename("CSeq", "CSEQ")))
    yield "CSeq twice", camera(of("*", lambda a: a.headers.insert(0, a.headers[0])))
    yield "CSeq with zeros and spaces", camera(edits("*", "CSeq", r"(\d+)", r"  00\1  "))
    yield "line feeds alone", camera(of("*", line_feeds))
    yield "carriage returns doubled", camera(of("*", lambda a: setattr(a, "eol", "\r\r\n")))
    yield "an empty line before the answer", camera(of("*", lambda a: setattr(a, "before", b"\r\n")))
    yield "a status without a reason phrase", camera(of("*", lambda a: setattr(a, "status", "RTSP/1.0 200")))
    yield "a status with two spaces", camera(of("*", lambda a: setattr(a, "status", "RTSP/1.0  200  OK")))
    yield "RTSP/1.1", camera(of("*", lambda a: setattr(a, "status", "RTSP/1.1 200 OK")))
    yield "201 Created to SETUP", camera(of("SETUP", lambda a: setattr(a, "status", "RTSP/1.0 201 Created")))
    yield "a header without a colon", camera(of("*", lambda a: setattr(a, "status", a.status + "\r\nnonsense")))
    yield "a header without a name", camera(of("*", lambda a: a.headers.append(("", "value"))))
    yield "a header that is folded", camera(sets("*", "Server", "camera\r\n\tof somebody"))
    yield "a header of 6000 bytes", camera(sets("*", "Server", "x" * 6000))
    yield "a header in Latin-1", camera(sets("*", "Server", "K\xe4mera"))
    yield "no space behind colons", camera(of("*", no_spaces))
    yield "headers in lower case", camera(of("*", small))
    yield "Content-Length in lower case, with a body of its own", camera(of("PLAY", lambda a: setattr(a, "body", "ok\r\n")))
    yield "no Public", camera(drops("OPTIONS", "Public"))
    yield "OPTIONS is not known", camera(refuses("OPTIONS", "501 Not Implemented"))
    yield "OPTIONS is not allowed", camera(refuses("OPTIONS", "405 Method Not Allowed"))
    yield "OPTIONS is not answered", camera(unanswered("OPTIONS"))
    yield "keepalives are refused", camera(refuses("GET_PARAMETER", "501 Not Implemented"),
                                           refuses("SET_PARAMETER", "451 Parameter Not Understood"), timeout=4)
    yield "keepalives are not answered", camera(unanswered("GET_PARAMETER"), unanswered("SET_PARAMETER"),
                                                timeout=4)
    yield "packets before the answer to PLAY", camera(packets_first)


def line_feeds(answer):
    answer.eol = "\n"


def no_spaces(answer):
    """`name:value`, as one line end and a colon."""
    answer.headers = [(name, value) for name, value in answer.headers]
    text = answer.encode()
    return re.sub(rb"(?m)^([\w-]+): ", rb"\1:", text, count=len(answer.headers) + 1)


def small(answer):
    answer.headers = [(name.lower(), value) for name, value in answer.headers]


def refuses(method, status):
    def step(_camera, _session, request, answer):
        return Answer(status, [("CSeq", request["cseq"])]) if request.method == method else answer
    return step


def unanswered(method):
    return lambda _camera, _session, request, answer: SILENT if request.method == method else answer


def packets_first(camera, session, request, answer):
    """Sends the first picture before the answer to PLAY, as if the encoder was faster."""
    if request.method == "PLAY":
        for packet in camera.packets_of(0):
            packet.time, packet.ssrc = 100_000, 0x11223344
            packet.sequence = session.notes["early"] = session.notes.get("early", 19900) + 1
            session.send(packet.encode())
    return answer


# -- Redirections

def moves(status, to, methods=("DESCRIBE",), path="/live"):
    def step(camera, _session, request, answer):
        if request.method in methods and request.url.split("?")[0].rstrip("/").endswith(path):
            return Answer(status, [("CSeq", request["cseq"]), ("Location", to(camera))])
        return answer
    return step


def at_real(camera):
    return f"rtsp://127.0.0.1:{camera.port}/real"


def at_other_port(camera):
    return f"rtsp://127.0.0.1:{camera.second_port}/real"


class WithSecondPort(Camera):
    """A camera that listens on two ports."""

    async def start(self):
        import asyncio
        await super().start()
        self.second = await asyncio.start_server(self.connected, self.host, 0)
        self.second_port = self.second.sockets[0].getsockname()[1]


def redirections():
    statuses = ("301 Moved Permanently", "302 Moved Temporarily", "303 See Other", "305 Use Proxy", "307 Temporary Redirect")
    for status in statuses:
        yield f"DESCRIBE: {status}, to another path", camera(moves(status, at_real)), "right"
        yield f"DESCRIBE: {status}, to another port", (
            lambda status=status: WithSecondPort(clips.units(nal.H264), answers=[moves(status, at_other_port)])), "right"
    yield "DESCRIBE: 302, to a host by name", camera(moves(
        statuses[1], lambda c: f"rtsp://localhost:{c.port}/real")), "right"
    yield "OPTIONS: 302", camera(moves(statuses[1], at_real, ("OPTIONS", "DESCRIBE"))), "right"
    yield "DESCRIBE: 302, with a login", (lambda: Camera(
        clips.units(nal.H264), answers=[moves(statuses[1], at_real)], login=Login(Digest("MD5", "auth")),
        user=f"{USER}:{PASSWORD}")), "right"
    yield "DESCRIBE: 302, twice", camera(moves(statuses[1], lambda c: f"rtsp://127.0.0.1:{c.port}/next"),
                                         moves(statuses[1], at_real, path="/next")), "right"
    yield "DESCRIBE: 302, a path alone", camera(moves(statuses[1], lambda _: "/real")), "reported"
    yield "DESCRIBE: 302, to itself forever", camera(moves(statuses[1], lambda c: c.url)), "words"
    yield "DESCRIBE: 302, without Location", camera(lambda c, s, r, a: Answer(
        statuses[1], [("CSeq", r["cseq"])]) if r.method == "DESCRIBE" else a), "words"
    yield "DESCRIBE: 302, to another protocol", camera(moves(statuses[1], lambda _: "http://127.0.0.1/")), "words"


@group("descriptions")
def description_cases():
    for name, make in descriptions():
        yield Case(name, make, frames=FEW)


# Cases that FFmpeg's client may fail, but the default may not.
RETINA_ALONE = {
    "Transport: RTP/AVP;interleaved", "201 Created to SETUP", "OPTIONS is not known", "OPTIONS is not allowed",
    "OPTIONS is not answered",
}

# Cases that neither client can read: reported with a reason, and retried.
NEITHER = {"no Transport", "an empty line before the answer", "a status without a reason phrase"}


@group("headers")
def header_cases():
    for name, make in headers():
        yield Case(name, make, "reported" if name in NEITHER else "right", ("auto",) if name in RETINA_ALONE else CLIENTS,
                   frames=120 if name.startswith("keepalives") else FEW)


@group("redirections")
def redirection_cases():
    for name, make, expected in redirections():
        reported = expected == "words"
        # FFmpeg's client alone gives up without a reason.
        yield Case(name, make, expected, ("auto",) if reported else CLIENTS, words="redirects" if reported else "",
                   frames=FEW)

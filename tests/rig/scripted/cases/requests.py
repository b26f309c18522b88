"""A server that sends requests while it streams (RFC 2326 allows that): whether a client answers or not,
the stream must not stall."""

from .. import clips, nal
from ..camera import SESSION, Camera
from . import Case, group

# Pictures between two requests.
BEAT = 15


def clip():
    # Long, so that a picture's content identifies it.
    return clips.units(nal.H264, pictures=240)


def each_beat(ask):
    def step(_camera, session, index):
        if index and index % BEAT == 0:
            ask(session)
    return step


def asks(method, body="", headers=(), url=None):
    return lambda session: session.ask(method, body, headers, url)


def several(session):
    session.ask("OPTIONS")
    session.ask("GET_PARAMETER", "position\r\n", [("Content-Type", "text/parameters")])
    session.ask("SET_PARAMETER", "barparam: barstuff\r\n", [("Content-Type", "text/parameters")])
    session.ask("ANNOUNCE", "v=0\r\n", [("Content-Type", "application/sdp")])


def raw(text):
    def ask(session):
        session.write(text.encode("latin-1"))
        session.camera.asked += 1
    return ask


def in_two_pieces(_camera, session, index):
    """The first half of the request, and the rest a picture later, with nothing in between."""
    text = f"OPTIONS * RTSP/1.0\r\nCSeq: {index}\r\nSession: {SESSION}\r\n\r\n".encode()
    if index and index % BEAT == 0:
        session.write(text[:20])
        session.notes["rest"] = text[20:]


def rest_first(_camera, session, _index, packets):
    if rest := session.notes.pop("rest", None):
        session.write(rest)
        session.camera.asked += 1
    return packets


def closes_unless_answered(_camera, session, index):
    """Sends a request in each beat, and ends the session after two beats without an answer."""
    notes = session.notes
    if index and index % BEAT == 0:
        session.ask("OPTIONS")
    if index > 3 * BEAT and notes.get("answered", 0) < notes.get("asked", 0) - 2:
        session.writer.close()


def before_the_answer(method):
    def step(_camera, session, request, answer):
        if request.method == method:
            session.ask("OPTIONS")
        return answer
    return step


def unasked_answer(session):
    session.write(b"RTSP/1.0 200 OK\r\nCSeq: 4711\r\nSession: " + SESSION.encode() + b"\r\n\r\n")


def empty_lines(session):
    session.write(b"\r\n\r\n")


@group("requests")
def cases():
    def case(name, *before, **more):
        return Case(name, lambda: Camera(clip(), before=before, **more), steady=True, frames=120)

    yield case("OPTIONS each second", each_beat(asks("OPTIONS")))
    yield case("OPTIONS * each second", each_beat(asks("OPTIONS", url="*")))
    yield case("GET_PARAMETER each second", each_beat(asks("GET_PARAMETER")))
    yield case("GET_PARAMETER with a body", each_beat(asks("GET_PARAMETER", "a\r\nb\r\n", [("Content-Type", "text/parameters")])))
    yield case("SET_PARAMETER with a body", each_beat(asks("SET_PARAMETER", "a: b\r\n", [("Content-Type", "text/parameters")])))
    yield case("ANNOUNCE with a description", each_beat(asks("ANNOUNCE", "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=x\r\n",
                                                             [("Content-Type", "application/sdp")])))
    yield case("an unknown method", each_beat(asks("X-PING")))
    yield case("a body with a dollar sign and line ends", each_beat(asks("SET_PARAMETER", "$\0\0\r\n\r\n$\r\n")))
    yield case("four at once", each_beat(several))
    yield case("one that comes in two pieces", in_two_pieces, packets=[rest_first])
    yield case("no CSeq", each_beat(raw(f"OPTIONS * RTSP/1.0\r\nSession: {SESSION}\r\n\r\n")))
    yield case("no Session", each_beat(raw("OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n")))
    yield case("line feeds alone", each_beat(raw("OPTIONS * RTSP/1.0\nCSeq: 9\n\n")))
    yield case("ends the session unless answered", closes_unless_answered)
    yield case("before the answer to PLAY", answers=[before_the_answer("PLAY")])
    yield case("before the answer to DESCRIBE", answers=[before_the_answer("DESCRIBE")])
    yield case("an unsolicited answer", each_beat(unasked_answer))
    yield case("empty lines between messages", each_beat(empty_lines))

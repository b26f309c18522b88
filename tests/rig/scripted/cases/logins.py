"""Logins, with user and password right, and a few with a wrong password."""

from .. import clips, nal
from ..camera import Camera
from ..login import KEEPALIVES, PASSWORD, USER, Basic, Digest, Login
from . import Case, group

RIGHT = f"{USER}:{PASSWORD}"
WRONG = f"{USER}:wr0ng"


class Unknown(Digest):
    def text(self, _nonce, stale=None):
        return "Negotiate abc"

    def takes(self, *_):
        return False


def camera(*challenges, user=RIGHT, camera=None, **login):
    more = camera or {}
    return lambda: Camera(clips.units(nal.H264), login=Login(*challenges, **login), user=user, **more)


# A session that needs keepalives every second or two, and ends without them.
SHORT = {"timeout": 4, "waits_for_keepalive": True}


@group("logins")
def cases():
    md5, sha256 = Digest("MD5", "auth"), Digest("SHA-256", "auth")
    yield Case("Basic", camera(Basic()))
    for algorithm in ("MD5", "SHA-256", "SHA-512-256", "MD5-sess", "SHA-256-sess"):
        # Rare algorithms are offered together with MD5 at least.
        beside = [] if algorithm in ("MD5", "SHA-256") else [Digest("MD5", "auth")]
        rare = ("auto",) if algorithm != "MD5" else ("auto", "ffmpeg")
        label = algorithm + (", then MD5" if beside else "")
        yield Case(f"Digest {label}, qop auth", camera(Digest(algorithm, "auth"), *beside), clients=rare)
        if not beside:
            for qop in (None, "auth,auth-int", "auth-int,auth", "auth, auth-int"):
                yield Case(f"Digest {label}, qop {qop}", camera(Digest(algorithm, qop)), clients=rare)
            yield Case(f"Digest {label}, quoted", camera(Digest(algorithm, "auth", quoted=True)), clients=rare)
            yield Case(f"Digest {label}, in lower case",
                       camera(Digest(algorithm, "auth", shown=algorithm.lower())), clients=("auto",))
    yield Case("Digest, algorithm not stated", camera(Digest("MD5", None, shown=None)))
    yield Case("Digest, algorithm not stated, qop auth", camera(Digest("MD5", "auth", shown=None)))
    yield Case("Digest, auth-int alone", camera(Digest("MD5", "auth-int")), clients=("auto",))
    yield Case("SHA-256, then MD5, two lines", camera(sha256, md5), clients=("auto",))
    yield Case("MD5, then SHA-256, two lines", camera(md5, sha256), clients=("auto",))
    yield Case("SHA-256, then MD5, two lines, no qop", camera(Digest("SHA-256"), Digest("MD5")), clients=("auto",))
    yield Case("SHA-256, then MD5, one line", camera(sha256, md5, one_line=True), clients=("auto",))
    yield Case("MD5, then SHA-256, one line", camera(md5, sha256, one_line=True), clients=("auto",))
    yield Case("Basic, then Digest, two lines", camera(Basic(), md5))
    yield Case("Digest, then Basic, two lines", camera(md5, Basic()))
    yield Case("Basic, then Digest, one line", camera(Basic(), md5, one_line=True), clients=("auto",))
    yield Case("Digest, then Basic, one line", camera(md5, Basic(), one_line=True), clients=("auto",))
    yield Case("Basic, SHA-256, MD5, three lines", camera(Basic(), sha256, md5), clients=("auto",))
    yield Case("an unknown scheme, then Digest", camera(Unknown(), md5), clients=("auto",))
    yield Case("opaque", camera(Digest("MD5", "auth", opaque="5ccc069c403ebaf9f0171e9517f40e41")))
    yield Case("empty opaque", camera(Digest("MD5", None, opaque="")), clients=("auto",))
    yield Case("no space behind commas", camera(Digest("MD5", "auth", comma=",")))
    yield Case("spaces around everything", camera(Digest("MD5", "auth", comma="  ,  ")), clients=("auto",))
    yield Case("a realm with comma and equals sign", camera(Digest("MD5", "auth", realm="a, b=c; IP Camera(12345)")))
    yield Case("a realm with quotation marks", camera(Digest("MD5", None, realm='the \\"camera\\"')), clients=("auto",))
    yield Case("an empty realm", camera(Digest("MD5", None, realm="")), clients=("auto",))
    yield Case("domain, charset and userhash", camera(
        Digest("SHA-256", "auth", more='domain="/", charset=UTF-8, userhash=false')), clients=("auto",))
    yield Case("stale=false in the first challenge", camera(Digest("MD5", None, more="stale=FALSE")))
    yield Case("OPTIONS, too", camera(md5, options_too=True))
    yield Case("the nonce runs out at SETUP, stale", camera(md5, ends_at=("SETUP",)))
    yield Case("the nonce runs out at PLAY, stale", camera(md5, ends_at=("PLAY",)))
    yield Case("the nonce runs out at PLAY, not called stale", camera(md5, ends_at=("PLAY",), states_stale=None),
               "reported", clients=("auto",))
    yield Case("the nonce runs out at PLAY, SHA-256", camera(sha256, ends_at=("PLAY",)), "reported", clients=("auto",))
    yield Case("a nonce for each request", camera(md5, once=True))
    yield Case("a nonce for each request, no qop", camera(Digest("MD5"), once=True), clients=("auto",))
    # retina handles no 401 after the first: a session ends with its keepalives, and another starts.
    for name, how in (("stale", "true"), ("TRUE", "TRUE"), ("quoted", '"true"'), ("not called stale", None),
                      ("called not stale", "false")):
        yield Case(f"the nonce runs out at a keepalive, {name}",
                   camera(md5, options_too=True, ends_at=KEEPALIVES, states_stale=how, camera=SHORT),
                   frames=150, clients=("auto",) if name != "stale" else ("auto", "ffmpeg"))
    yield Case("the nonce runs out at each keepalive",
               camera(md5, options_too=True, once=True, camera=SHORT), frames=150, lasts=True, clients=("auto",))
    yield Case("the nonce runs out at a keepalive, SHA-256",
               camera(sha256, options_too=True, ends_at=KEEPALIVES, camera=SHORT), frames=150, clients=("auto",))
    yield Case("a session of four seconds", lambda: Camera(clips.units(nal.H264), **SHORT), frames=150, lasts=True)
    yield Case("a session of four seconds, Basic", camera(Basic(), options_too=True, camera=SHORT), frames=150, lasts=True)
    for name, challenges in (("Basic", [Basic()]), ("Digest", [md5]), ("SHA-256, then MD5", [sha256, md5]),
                             ("Basic, then Digest", [Basic(), md5]), ("SHA-256", [sha256])):
        yield Case(f"wrong password, {name}", camera(*challenges, user=WRONG), expected="refused")
    yield Case("wrong password, each answer called stale",
               camera(Digest("MD5", "auth", more="stale=true"), user=WRONG), expected="refused")
    yield Case("no password given", camera(md5, user=""), expected="refused")

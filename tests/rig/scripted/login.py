"""Logins of a camera: its challenges, and checks of the answers (RFC 7617, RFC 2617, RFC 7616)."""

import base64
import hashlib
import re
import secrets

USER, PASSWORD, REALM = "admin", "secret", "camera"

HASHES = {
    "MD5": hashlib.md5, "SHA-256": hashlib.sha256,
    "SHA-512-256": lambda data: hashlib.new("sha512_256", data),
}

# The methods of keepalives: a nonce that expires there expires in mid-session.
KEEPALIVES = ("GET_PARAMETER", "SET_PARAMETER", "OPTIONS")

PAIR = re.compile(r'([\w-]+)=(?:"((?:[^"\\]|\\.)*)"|([^,\s]+))')


class Digest:
    """One challenge. `shown` is its algorithm as written; None leaves it out."""

    def __init__(self, algorithm="MD5", qop=None, shown="", quoted=False, opaque=None, realm=REALM, more="",
                 comma=", "):
        self.algorithm, self.qop, self.opaque, self.realm, self.more, self.comma = (
            algorithm, qop, opaque, realm, more, comma)
        shown = algorithm if shown == "" else shown
        self.shown = shown if shown is None or not quoted else f'"{shown}"'

    def text(self, nonce, stale=None):
        fields = [f'realm="{self.realm}"', f'nonce="{nonce}"']
        if self.shown is not None:
            fields.append(f"algorithm={self.shown}")
        if self.qop is not None:
            fields.append(f'qop="{self.qop}"')
        if self.opaque is not None:
            fields.append(f'opaque="{self.opaque}"')
        if stale is not None:
            fields.append(f"stale={stale}")
        return "Digest " + self.comma.join([*fields, *filter(None, [self.more])])

    def takes(self, said, request, nonce, count):
        """Whether the answer to this challenge is correct. `count` is the session's last nonce count."""
        base, dash, session = self.algorithm.partition("-sess")
        hashed = HASHES[base]

        def h(*parts):
            return hashed(":".join(parts).encode()).hexdigest()

        if said.get("algorithm", "MD5").upper() != self.algorithm.upper():
            return False
        if said.get("nonce") != nonce or said.get("realm") != self.realm.replace('\\"', '"'):
            return False
        if self.opaque and said.get("opaque") != self.opaque:
            return False
        if self.qop is None and "qop" in said or "qop" in said and said["qop"] not in re.split(r"\s*,\s*", self.qop):
            return False
        a1 = h(USER, said["realm"], PASSWORD)
        if dash:
            a1 = h(a1, nonce, said.get("cnonce", ""))
        a2 = h(request.method, said.get("uri", ""))
        if said.get("qop") == "auth-int":
            a2 = h(request.method, said.get("uri", ""), hashed(request.body).hexdigest())
        if "qop" in said:
            # Counts are eight hexadecimal digits that rise.
            if not re.fullmatch("[0-9a-f]{8}", said.get("nc", "")) or int(said["nc"], 16) <= count:
                return False
            right = h(a1, nonce, said["nc"], said.get("cnonce", ""), said["qop"], a2)
        else:
            right = h(a1, nonce, a2)
        return said.get("response") == right


class Basic:
    def text(self, _nonce, stale=None):
        return f'Basic realm="{REALM}"'

    @staticmethod
    def takes(said, _request, _nonce, _count):
        return said.get("basic") == base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


class Login:
    """Requires an answer to one of `challenges`. Options:

    one_line      all challenges in one header line
    options_too   whether OPTIONS needs a login
    ends_at       the methods at whose first request in a session the nonce has expired
    once          a nonce is valid for one request
    states_stale  whether an expired nonce is called stale, and how
    """

    def __init__(self, *challenges, one_line=False, options_too=False, ends_at=(), once=False, states_stale="true"):
        self.challenges, self.one_line, self.options_too = challenges, one_line, options_too
        self.ends_at, self.once, self.states_stale = ends_at, once, states_stale

    def refusal(self, camera, session, request):
        """None if the request may pass, otherwise the values of WWW-Authenticate."""
        if request.method == "OPTIONS" and not self.options_too:
            return None
        notes = session.notes
        notes.setdefault("nonce", secrets.token_hex(16))
        notes.setdefault("ended", set())
        sent = request["authorization"]
        if not sent:
            return self.offer(notes)
        scheme, _, rest = sent.partition(" ")
        said = {name.lower(): quoted.replace('\\"', '"') or plain for name, quoted, plain in PAIR.findall(rest)}
        if scheme.lower() == "basic":
            said = {"basic": rest.strip()}
        is_known = scheme.lower() == "basic" or said.get("nonce") == notes["nonce"]
        right = any(
            isinstance(one, Basic) == (scheme.lower() == "basic")
            and one.takes(said, request, notes["nonce"] if is_known else said.get("nonce", ""),
                          notes.get("count", 0) if is_known else 0)
            for one in self.challenges
        )
        if not right:
            # An answer that is wrong for the nonce that it names, which could lock an account.
            camera.wrong_logins[session.number] = camera.wrong_logins.get(session.number, 0) + 1
            return self.offer(notes)
        ends = request.method in self.ends_at and (session.playing or request.method not in KEEPALIVES)
        if ends and request.method not in notes["ended"]:
            notes["ended"].add(request.method)
            is_known = False
        if not is_known:
            notes.pop("count", None)
            notes["nonce"] = secrets.token_hex(16)
            return self.offer(notes, self.states_stale)
        if "nc" in said:
            notes["count"] = int(said["nc"], 16)
        if self.once:
            notes["nonce"] = secrets.token_hex(16)
            notes.pop("count", None)
        return None

    def offer(self, notes, stale=None):
        texts = [one.text(notes["nonce"], stale) for one in self.challenges]
        return [", ".join(texts)] if self.one_line else texts

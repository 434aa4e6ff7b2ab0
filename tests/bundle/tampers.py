"""Ways to change a signed model, each drawn at random: from a flipped bit to a forger who knows the format well.

Every tamper gives other content than anything that the trusted key has signed as a whole, so every one of them must be
refused.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from random import Random

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from tests.bundle.signed_models import Case, Content, Folder, Link, Pipe
from visto.bundle.envelope import Envelope, pack, signed_bytes, unpack
from visto.bundle.keys import fingerprint

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256

Tamper = Callable[[Random, Case], Content]


def tampered(random: Random, case: Case, kind: str) -> Content:
    """The signed model, changed in this way of ``BUNDLE``."""
    while (content := BUNDLE[kind](random, case)) in (case.good, case.older):
        pass  # it changed nothing, such as two zeros exchanged
    return content


def _with(case: Case, name: str, content: bytes | Link | Folder | Pipe) -> Content:
    return {**case.good, name: content}


# what anybody can do to a file


def _any_file(random: Random, case: Case) -> str:
    # every second time the signature, which is small among the others
    return case.signature if random.random() < 0.5 else random.choice(sorted(case.good))


def _bit(random: Random, case: Case) -> Content:
    name = _any_file(random, case)
    content = bytearray(case.good[name])
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    return _with(case, name, bytes(content))


def _byte(random: Random, case: Case) -> Content:
    name = _any_file(random, case)
    content = bytearray(case.good[name])
    content[random.randrange(len(content))] = random.choice([random.randrange(256), *b' \n"=+/0aA'])
    return _with(case, name, bytes(content))


def _cut(random: Random, case: Case) -> Content:
    name = _any_file(random, case)
    content = case.good[name]
    return _with(case, name, content[: random.choice([0, len(content) - 1, random.randrange(len(content))])])


def _appended(random: Random, case: Case) -> Content:
    name = _any_file(random, case)
    more = random.choice([b"\n", b" ", b"\0", b"}", b"{}", random.randbytes(9), case.good[name]])
    return _with(case, name, case.good[name] + more)


def _put_before(random: Random, case: Case) -> Content:
    name = _any_file(random, case)
    return _with(case, name, random.choice([b"\n", b" ", b"\xef\xbb\xbf", random.randbytes(3)]) + case.good[name])


def _inserted(random: Random, case: Case) -> Content:
    name = _any_file(random, case)
    content, place = case.good[name], random.randrange(len(case.good[name]))
    return _with(case, name, content[:place] + random.choice([b" ", b"\n", b"=", b"A", b"\\"]) + content[place:])


def _left_out(random: Random, case: Case) -> Content:
    name = _any_file(random, case)
    content, place = case.good[name], random.randrange(len(case.good[name]))
    return _with(case, name, content[:place] + content[place + random.randint(1, 8) :])


def _bytes_exchanged(random: Random, case: Case) -> Content:
    name = _any_file(random, case)
    content = bytearray(case.good[name])
    a, b = random.randrange(len(content)), random.randrange(len(content))
    content[a], content[b] = content[b], content[a]
    return _with(case, name, bytes(content))


def _deleted(random: Random, case: Case) -> Content:
    gone = _any_file(random, case)
    return {name: content for name, content in case.good.items() if name != gone}


def _renamed(random: Random, case: Case) -> Content:
    name = _any_file(random, case)
    new = random.choice([name.upper(), name + "~", "." + name, name[:-1], "extra"])
    return {(new if file == name else file): content for file, content in case.good.items()}


def _files_exchanged(random: Random, case: Case) -> Content:
    a, b = random.sample(sorted(case.good), 2)
    return {**case.good, a: case.good[b], b: case.good[a]}


def _one_for_another(random: Random, case: Case) -> Content:
    a, b = random.sample(sorted(case.good), 2)
    return _with(case, a, case.good[b])


def _linked(random: Random, case: Case) -> Content:
    name = _any_file(random, case)
    return _with(case, name, Link(case.good[name]))


def _no_file(random: Random, case: Case) -> Content:
    odd: Folder | Pipe = Folder() if random.random() < 0.5 else Pipe()
    return _with(case, _any_file(random, case), odd)


def _added(random: Random, case: Case) -> Content:
    name = random.choice(["notes.txt", ".hidden", "weights.safetensors.bak", "model.sig.sig", "model.pkl", "a b"])
    entries: list[bytes | Link | Folder | Pipe] = [b"", random.randbytes(9), Link(b"x"), Folder(), Pipe()]
    return _with(case, name, random.choice(entries))


# what someone can do who has other signed models


def _mixed(random: Random, case: Case) -> Content:
    """Some files, or the signature, of the older model: an old manifest beside new weights."""
    taken = random.sample(sorted(case.good), random.randint(1, len(case.good) - 1))
    return {**case.good, **{name: case.older[name] for name in taken}}


def _strangers(random: Random, case: Case) -> Content:
    return random.choice([case.strangers, case.strangers_older])


def _strangers_signature(random: Random, case: Case) -> Content:
    return _with(case, case.signature, random.choice([case.strangers, case.strangers_older])[case.signature])


def _forged(random: Random, case: Case) -> Content:
    """Other weights, and every hash in the bundle made right again."""
    weights = bytearray(case.good["weights.safetensors"])
    weights[-1 - random.randrange(len(weights) // 3)] ^= 1 << random.randrange(8)
    manifest = json.loads(case.good["manifest.json"])
    manifest["files"]["weights.safetensors"]["sha256"] = hashlib.sha256(weights).hexdigest()
    text = json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"
    line = f"{hashlib.sha256(text).hexdigest()}  manifest.json\n".encode()
    signature = random.choice([case.good, case.strangers])[case.signature]
    files = {"weights.safetensors": bytes(weights), "manifest.json": text, "manifest.sha256": line}
    return {**case.good, **files, case.signature: signature}


# what someone can do who knows the form of the signature


def _envelope(case: Case) -> Envelope:
    return unpack(case.good[case.signature])


def _signed_anew(random: Random, case: Case) -> Content:
    """A stranger signs what he likes, and names the owner's key or his own; the model is as it was, or is changed."""
    envelope = _envelope(case)
    statement = json.loads(envelope.payload)
    content: dict[str, bytes] = dict(case.good)
    if random.random() < 0.5:
        name = random.choice(sorted(case.good.keys() - {case.signature}))
        content[name] = case.good[name] + b"\n"
        for resource in statement["predicate"]["resources"]:
            if resource["name"] == name:
                resource["digest"] = hashlib.sha256(content[name]).hexdigest()
    payload = random.choice([envelope.payload, json.dumps(statement).encode()])
    toward = random.choice([signed_bytes(payload), payload, b""])
    signature = random.choice([case.stranger.sign(toward, ec.ECDSA(hashes.SHA256())), envelope.signature])
    key = random.choice([envelope.key, fingerprint(case.stranger.public_key())])
    content[case.signature] = pack(Envelope(key=key, payload=payload, signature=signature))
    return content


def _statement_respelt(random: Random, case: Case) -> Content:
    """The same statement in other bytes, or one word of it another, below the owner's signature."""
    envelope = _envelope(case)
    statement = json.loads(envelope.payload)
    spellings = [
        json.dumps(statement).encode(),
        json.dumps(statement, indent=1).encode(),
        envelope.payload.rstrip(),
        envelope.payload + b" ",
        envelope.payload.replace(b"sha256", b"sha512"),
        envelope.payload.replace(b"false", b"true"),
        envelope.payload.replace(b"v1.0", b"v1.1"),
        envelope.payload.replace(b'"name"', b'"name": "x", "name"', 1),
        envelope.payload.replace(case.signature.encode(), b"weights.safetensors"),
    ]
    signature = pack(Envelope(key=envelope.key, payload=random.choice(spellings), signature=envelope.signature))
    return _with(case, case.signature, signature)


def _signature_bent(random: Random, case: Case) -> Content:
    """Other bytes for the two numbers of the signature, or other numbers near them."""
    envelope = _envelope(case)
    r, s = decode_dss_signature(envelope.signature)
    der = envelope.signature
    bent = [
        encode_dss_signature(r, ORDER - s),
        encode_dss_signature(ORDER - r, s),
        encode_dss_signature(s, r),
        encode_dss_signature(0, 0),
        encode_dss_signature(1, 1),
        encode_dss_signature(r, 0),
        encode_dss_signature(r + ORDER, s),
        encode_dss_signature(r, s + ORDER),
        encode_dss_signature(r, s + random.choice([-1, 1])),
        der + b"\0",
        bytes([der[0], 0x81]) + der[1:],
        bytes([der[0], der[1] + 1, der[2], der[3] + 1, 0]) + der[4:],
        r.to_bytes(32) + s.to_bytes(32),
        b"",
        b"\0",
    ]
    changed = pack(Envelope(key=envelope.key, payload=envelope.payload, signature=random.choice(bent)))
    return _with(case, case.signature, changed)


def _base64_respelt(random: Random, case: Case) -> Content:
    """The same bytes in other letters."""
    content = case.good[case.signature]
    part = random.choice([_envelope(case).payload, _envelope(case).signature])
    text = base64.b64encode(part)
    body, place = text.rstrip(b"="), random.randrange(len(text))
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    # the last letter has bits that stand for nothing where padding follows
    last = letters[letters.index(body[-1]) ^ random.choice([1, 2, 3])]
    respelt = [
        body,
        text + b"=",
        text + b"====",
        body[:-1] + bytes([last]) + text[len(body) :],
        base64.urlsafe_b64encode(part),
        text[:place] + random.choice([b" ", b"\n", b"\\n", b"-", b"=", b"\\u0041"]) + text[place:],
        b"".join(b"\\u%04x" % letter for letter in text),
        text.replace(b"/", b"\\/"),
    ]
    return _with(case, case.signature, content.replace(text, random.choice(respelt)))


def _json_respelt(random: Random, case: Case) -> Content:
    """The same document, or nearly, in other JSON."""
    content = case.good[case.signature]
    document = json.loads(content)
    hint = document["verificationMaterial"]["publicKey"]["hint"].encode()
    name = random.choice([b"mediaType", b"payload", b"payloadType", b"sig", b"hint", b"keyid", b"signatures"])
    respelt = [
        json.dumps(document).encode(),
        json.dumps(document, indent=2).encode(),
        json.dumps(document, separators=(",", ":"), sort_keys=True).encode(),
        json.dumps(dict(reversed(document.items())), separators=(",", ":")).encode(),
        json.dumps({**document, "more": 1}, separators=(",", ":")).encode(),
        content.replace(b'"' + name + b'":', b'"' + name + b'":"x","' + name + b'":', 1),
        content.replace(b'"' + name + b'":', b'"\\u%04x' % name[0] + name[1:] + b'":', 1),
        content.replace(b'"' + name + b'":', b'"' + name.upper() + b'":', 1),
        content.replace(b'"' + name + b'":', b'"' + name + b'": ', 1),
        content.replace(hint, random.choice([b"", hint.upper(), hint + b" ", hint[:-1]])),
        content.replace(b'"tlogEntries":[]', random.choice([b'"tlogEntries":[{}]', b'"tlogEntries":null'])),
        content.replace(b'"tlogEntries":[]', b'"tlogEntries":[],"certificate":{"rawBytes":""}'),
        content.replace(b"bundle.v0.3", b"bundle.v0.2"),
        content.replace(b"application/vnd.in-toto+json", b"application/json"),
        content.decode().encode("utf-16"),
        b"[" + content + b"]",
    ]
    return _with(case, case.signature, random.choice(respelt))


def _more_signatures(random: Random, case: Case) -> Content:
    """A second signature before or after the first, none at all, or a name for the key."""
    content = case.good[case.signature]
    own = b'{"sig":"' + base64.b64encode(_envelope(case).signature) + b'","keyid":""}'
    false = case.stranger.sign(signed_bytes(_envelope(case).payload), ec.ECDSA(hashes.SHA256()))
    other = b'{"sig":"' + base64.b64encode(false) + b'","keyid":""}'
    key = random.choice([_envelope(case).key, fingerprint(case.stranger.public_key()), "x"]).encode()
    lists = [
        own + b"," + own,
        own + b"," + other,
        other + b"," + own,
        other,
        b"",
        own.replace(b'"keyid":""', b'"keyid":"' + key + b'"'),
        own.replace(b',"keyid":""', b""),
        own.replace(b'"keyid":""', b'"keyid":null'),
        own.replace(b'"keyid":""', b'"keyid":"","keyid":""'),
        own.replace(b'"keyid":""', b'"keyid":"","cert":""'),
    ]
    return _with(case, case.signature, content.replace(own, random.choice(lists)))


def _another_key_named(random: Random, case: Case) -> Content:
    envelope = _envelope(case)
    key = random.choice([fingerprint(case.stranger.public_key()), "0" * 64, envelope.key[::-1]])
    return _with(case, case.signature, pack(Envelope(key=key, payload=envelope.payload, signature=envelope.signature)))


ANY: Mapping[str, Tamper] = {
    "a bit": _bit,
    "a byte": _byte,
    "cut off": _cut,
    "appended": _appended,
    "put before": _put_before,
    "inserted": _inserted,
    "left out": _left_out,
    "two bytes exchanged": _bytes_exchanged,
    "file deleted": _deleted,
    "file renamed": _renamed,
    "files exchanged": _files_exchanged,
    "one file for another": _one_for_another,
    "link to the same": _linked,
    "folder or pipe": _no_file,
    "mixed with an older one": _mixed,
    "a stranger's model": _strangers,
    "a stranger's signature": _strangers_signature,
    "signed anew": _signed_anew,
    "statement respelt": _statement_respelt,
    "signature bent": _signature_bent,
    "base64 respelt": _base64_respelt,
    "JSON respelt": _json_respelt,
    "signatures": _more_signatures,
    "another key named": _another_key_named,
}
# beside an exported file anything may lie, so only a bundle is changed by a file more
BUNDLE: Mapping[str, Tamper] = {**ANY, "file added": _added, "hashes made right": _forged}

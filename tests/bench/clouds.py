"""What placing from a cloud costs: a real Swift, Keystone and Glance on the same machine, against what people fetch with today."""

import hashlib
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

from cases import Result, expect, judged, measure_pairs
from downloads import OURS, PEER, SAME
from place import GIB, MIB
from server import Server

SERVICES = Path(__file__).resolve().parent.parent / "services" / "services.py"
STORE = "ext4/store"
SIZE = GIB
SEGMENT = 64 * MIB
# Of each connection through the proxy that bounds it: what one connection fetches in 16 s.
PACE = 8 * MIB
PACED_SIZE = 16 * PACE
PACED_SEGMENT = 8 * MIB
CONTAINER = "bench"
USER = "vault:keeper"
BOUND = 600

APART = "Swift, Keystone and Glance run on the same two cores, and what they need is counted for neither side."
KINDS = {"plain": "a plain object", "slo": "a static large object", "dlo": "a dynamic large object"}


class Cloud:
    """The services of tests/services, from entry to exit."""

    def __init__(self, place, *groups):
        self.place, self.groups, self.directory = place, groups, place.path("cloud")

    def __enter__(self):
        self._services("install")
        only = [word for group in self.groups for word in ("--only", group)]
        self._services("up", self.directory, *only)
        self.document = json.loads((self.directory / "services.json").read_text())
        self.swift = self.document["swift"]
        if self.groups == ("swift",):
            self._log_in()
        return self

    def __exit__(self, *_):
        self._services("down", self.directory)

    def _services(self, *words):
        subprocess.run([sys.executable, "-B", SERVICES, *words], check=True, timeout=BOUND)

    def _log_in(self):
        password = self.swift["users"][USER]["password"]
        headers = {"X-Auth-User": USER, "X-Auth-Key": password}
        answer = ask("GET", self.swift["auth_url"], headers)[0]
        self.token, self.storage = answer["X-Auth-Token"], answer["X-Storage-Url"]

    def put(self, kind, name, file, segment):
        """Stores a file as an object of this kind; gives the object's URL."""
        headers = {"X-Auth-Token": self.token}
        base = f"{self.storage}/{CONTAINER}"
        ask("PUT", base, headers)
        if kind == "plain":
            ask("PUT", f"{base}/{name}", headers, file.read_bytes())
            return f"{base}/{name}"
        parts = []
        with open(file, "rb") as source:
            while part := source.read(segment):
                path = f"{name}-segments/{len(parts):05}"
                ask("PUT", f"{base}/{path}", headers, part)
                digest = hashlib.md5(part, usedforsecurity=False).hexdigest()
                parts.append({"path": f"/{CONTAINER}/{path}", "etag": digest, "size_bytes": len(part)})
        if kind == "slo":
            ask("PUT", f"{base}/{name}?multipart-manifest=put", headers, json.dumps(parts).encode())
        else:
            ask("PUT", f"{base}/{name}", headers | {"X-Object-Manifest": f"{CONTAINER}/{name}-segments/"}, b"")
        return f"{base}/{name}"

    def location(self, name, authority=None):
        """The object's URL as Glance writes it, with the login in it; through another server where one is named."""
        authority = authority or self.swift["url"].partition("://")[2]
        password = self.swift["users"][USER]["password"]
        return f"swift+http://{USER}:{password}@{authority}/auth/v1.0/{CONTAINER}/{name}"


def ask(method, url, headers, body=None):
    """One request; gives the headers and the body of its answer."""
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=BOUND) as answer:
        return answer.headers, answer.read()


def prepare(place, size, seed):
    place.image(f"{STORE}/object.raw", size, [(0, size)], seed)
    more = '[handler.swift]\nallow_addresses = ["loopback"]\n'
    place.write("clouds.toml", f'node = "bench"\nstate_dir = "{place.path("ext4/state")}"\n{more}')


def command(image, settings="clouds.toml"):
    return ["landfall", "--config", settings, "place", image, "--to", OURS, "--progress", "none", "--json"]


def curl(url, token):
    script = 'curl -s -S -f -H "X-Auth-Token: $3" -o "$2" "$1" && sync "$2"'
    return ["sh", "-c", script, "sh", url, PEER, token]


def side(place, words, target, **wanted):
    def run():
        place.quiet()
        text, sample = place.run(words)
        if wanted:
            expect(text, **wanted)
        place.remove(target)
        return sample

    return run


def finish(place):
    place.remove(f"{STORE}/object.raw")
    place.forget("ext4/state")


def shown(words, token):
    """A command without the token in it."""
    return ["TOKEN" if word == token else word for word in words]


def from_swift(place, kind):
    prepare(place, SIZE, seed=7)
    with Cloud(place, "swift") as cloud:
        url = cloud.put(kind, f"{kind}.raw", place.path(f"{STORE}/object.raw"), SEGMENT)
        place.record("swift.json", f"{STORE}/object.raw", "sha512", url=cloud.location(f"{kind}.raw"))
        peer_command, ours_command = curl(url, cloud.token), command("swift.json")
        pairs = measure_pairs(
            5,
            side(place, peer_command, PEER),
            side(place, ours_command, OURS, method="stream", verified="computed"),
        )
    finish(place)
    conditions = [f"The image is 1 GiB of random bytes, {KINDS[kind]} of a real Swift; its SHA-512 is computed by ours alone.", SAME, APART]
    if kind != "plain":
        conditions.insert(1, f"Its segments have {SEGMENT // MIB} MiB each.")
    return Result(
        f"swift_{kind}",
        f"{KINDS[kind][2:].capitalize()} of 1 GiB from Swift, verified",
        "at least 0.95 x the rate of `curl -o f`, then `sync f`",
        judged(pairs, 1 / 0.95),
        conditions,
        [shown(peer_command, cloud.token), ours_command],
        pairs,
    )


def swift_plain(place):
    """1 GiB of a plain object from Swift, against curl"""
    return from_swift(place, "plain")


def swift_slo(place):
    """1 GiB of a static large object from Swift, against curl"""
    return from_swift(place, "slo")


def swift_dlo(place):
    """1 GiB of a dynamic large object from Swift, against curl"""
    return from_swift(place, "dlo")


def paced(place, kind):
    prepare(place, PACED_SIZE, seed=8)
    with Cloud(place, "swift") as cloud:
        cloud.put(kind, f"{kind}.raw", place.path(f"{STORE}/object.raw"), PACED_SEGMENT)
        passed_on = f"location / {{ proxy_pass {cloud.swift['url']}; proxy_set_header Host $http_host; proxy_buffering off; }}"
        with Server(place, "proxy", STORE, PACE, passed_on) as proxy:
            place.record("paced.json", f"{STORE}/object.raw", "sha512", url=cloud.location(f"{kind}.raw", proxy.address))
            path = cloud.storage.removeprefix(cloud.swift["url"])
            url = f"http://{proxy.address}{path}/{CONTAINER}/{kind}.raw"
            peer_command, ours_command = curl(url, cloud.token), command("paced.json")
            pairs = measure_pairs(
                3,
                side(place, peer_command, PEER),
                side(place, ours_command, OURS, method="stream", verified="computed"),
            )
    finish(place)
    return Result(
        f"swift_{kind}_paced",
        f"{KINDS[kind][2:].capitalize()} from Swift through a proxy that bounds the rate of each connection",
        "at least 4 x as fast as `curl -o f`, then `sync f`",
        judged(pairs, 1 / 4),
        [
            f"nginx in front of Swift gives each connection {PACE // MIB} MiB/s; the image has {PACED_SIZE // MIB} MiB of random bytes"
            + ("." if kind == "plain" else f", in segments of {PACED_SEGMENT // MIB} MiB."),
            SAME,
            APART,
        ],
        [shown(peer_command, cloud.token), ours_command],
        pairs,
    )


def swift_plain_paced(place):
    """128 MiB of a plain object through a proxy that bounds each connection, against curl"""
    return paced(place, "plain")


def swift_slo_paced(place):
    """128 MiB of a static large object through a proxy that bounds each connection, against curl"""
    return paced(place, "slo")


def swift_dlo_paced(place):
    """128 MiB of a dynamic large object through a proxy that bounds each connection, against curl"""
    return paced(place, "dlo")


def measure_by_id(place):
    """The image's id, our command, and pairs."""
    prepare(place, SIZE, seed=7)
    with Cloud(place, "glance") as cloud:
        image = upload(cloud, place.path(f"{STORE}/object.raw"))
        keystone, service = cloud.document["keystone"], cloud.document["keystone"]["users"]["nova"]
        auth = {
            "auth_url": keystone["auth_url"],
            "username": "nova",
            "password": service["password"],
            "project_name": service["project"],
            "user_domain_id": "default",
            "project_domain_id": "default",
        }
        fields = ", ".join(f"{key} = {json.dumps(value)}" for key, value in auth.items())
        swift_store = place.path("cloud/glance/swift-store.conf")
        place.write(
            "glance.toml",
            f'node = "bench"\nstate_dir = "{place.path("ext4/state")}"\n[cloud.site]\nauth = {{ {fields} }}\n'
            f'[catalog.site]\ntype = "glance"\n[handler.swift]\nstore_config_file = "{swift_store}"\n',
        )
        client = next(path for path in cloud_clients(cloud) if path.exists())
        environment = [f"OS_{key.upper()}={value}" for key, value in auth.items()]
        script = 'openstack="$1" image="$2" to="$3"; "$openstack" image save --file "$to" "$image" && sync "$to"'
        peer_command = ["env", *environment, "sh", "-c", script, "sh", str(client), image, PEER]
        ours_command = command(image, "glance.toml")
        pairs = measure_pairs(
            5,
            side(place, peer_command, PEER),
            side(place, ours_command, OURS, handler="swift", method="stream", verified="computed"),
        )
    finish(place)
    return image, ours_command, pairs


def by_id(place, name, of, factor, target):
    # Wall and CPU time are of the same runs.
    image, ours_command, pairs = place.once("by id", lambda: measure_by_id(place))
    return Result(
        name,
        ("CPU time of an" if of == "processor" else "An") + " image of 1 GiB by its UUID, from Glance and Swift, verified",
        target,
        judged(pairs, factor, of=of),
        [
            "The image is 1 GiB of random bytes that was uploaded through Glance to its Swift store. Ours asks Keystone and Glance, then"
            " reads from Swift; the peer reads from Glance. Both verify.",
            SAME,
            APART,
        ],
        [["openstack", "image", "save", "--file", PEER, image], ours_command],
        pairs,
        of=of,
    )


def cloud_clients(cloud):
    """The client of OpenStack in the services' installation."""
    words = cloud.document["services"]["glance"]["program"]["words"]
    yield Path(words[0]).parent / "openstack"


def upload(cloud, file):
    """Makes an image of a file in Glance's Swift store; gives its UUID."""
    keystone, glance = cloud.document["keystone"], cloud.document["glance"]["url"]
    admin = keystone["users"]["admin"]
    domain = {"id": "default"}
    user = {"name": "admin", "domain": domain, "password": admin["password"]}
    identity = {"methods": ["password"], "password": {"user": user}}
    login = {"auth": {"identity": identity, "scope": {"project": {"name": admin["project"], "domain": domain}}}}
    kind = {"Content-Type": "application/json"}
    answer, _ = ask("POST", f"{keystone['auth_url']}/auth/tokens", kind, json.dumps(login).encode())
    token = {"X-Auth-Token": answer["X-Subject-Token"]}
    wanted = {"name": "bench", "disk_format": "raw", "container_format": "bare", "visibility": "public"}
    _, made = ask("POST", f"{glance}/v2/images", kind | token, json.dumps(wanted).encode())
    image = json.loads(made)["id"]
    headers = token | {"Content-Type": "application/octet-stream", "X-Image-Meta-Store": "sw"}
    ask("PUT", f"{glance}/v2/images/{image}/file", headers, file.read_bytes())
    return image


def uuid(place):
    """1 GiB by its UUID from Glance and Swift, against `openstack image save`"""
    return by_id(place, "uuid", "wall", 0.6, "at most 0.6 x `openstack image save`, then `sync f`")


def uuid_processor(place):
    """the CPU time of 1 GiB by its UUID from Glance and Swift, against `openstack image save`"""
    target = "at most 0.5 x the CPU time of `openstack image save`, then `sync f` (held against the medians of CPU time)"
    return by_id(place, "uuid_processor", "processor", 0.5, target)


ALL = {
    case.__name__: case
    for case in (
        swift_plain,
        swift_slo,
        swift_dlo,
        swift_plain_paced,
        swift_slo_paced,
        swift_dlo_paced,
        uuid,
        uuid_processor,
    )
}

"""Swift: one server of each kind, and three proxies upon them.

`swift-proxy` knows people by tempauth and speaks S3 too. `swift-proxy-short` is the same, but believes in tokens for seconds
only. `swift-proxy-keystone` asks Keystone; it is one of its own because it would ask about every token of the others.
"""

import base64
import getpass
import os
import shutil

from installation import INSIDE, run
from processes import Program

REGION = "us-east-1"
# What tempauth calls account and user, the password and the groups.
USERS = {
    # Owns the account that tests put objects into.
    "vault:keeper": ("keeper-password", ".admin"),
    # Of the same account, and may do what containers allow it.
    "vault:reader": ("reader-password", ""),
    # Owns another account.
    "other:stranger": ("stranger-password", ".admin"),
    # May do everything with every account.
    "ops:root": ("root-password", ".admin .reseller_admin"),
}

PIPELINE = (
    "catch_errors gatekeeper healthcheck proxy-logging cache listing_formats bulk tempurl {auth} copy slo dlo "
    "versioned_writes symlink proxy-server"
)
# Filters that need no setting.
PLAIN = "catch_errors gatekeeper healthcheck listing_formats bulk copy symlink".split()


def configure(state, installation):
    """Writes the settings; gives how the services are started."""
    folder = state.path("swift")
    state.path("swift-disks", "d1")
    secret = base64.urlsafe_b64encode(os.urandom(32)).decode()
    (folder / "swift.conf").write_text(
        f"[swift-hash]\nswift_hash_path_suffix = {secret}\nswift_hash_path_prefix = {secret}\n"
        "[storage-policy:0]\nname = Policy-0\ndefault = yes\n"
    )
    shutil.copy(INSIDE / "landfall_no_cache.py", folder)
    ports = [state.port(f"swift-{kind}") for kind in ("account", "container", "object")]
    run([installation.program("python"), INSIDE / "make_rings.py", folder, *ports])

    common = f"""
swift_dir = {folder}
devices = {state.dir}/swift-disks
mount_check = false
bind_ip = 127.0.0.1
user = {getpass.getuser()}
log_level = WARNING
# There is no log socket everywhere; nobody listens here, and -v prints the same.
log_udp_host = 127.0.0.1
log_udp_port = 9
recon_cache_path = {state.path("swift-recon")}
# A test machine may be nearly full.
disable_fallocate = true
fallocate_reserve = 0
"""
    for kind, port in zip(("account", "container", "object"), ports):
        workers = 2 if kind == "object" else 0
        (folder / f"swift-{kind}.conf").write_text(f"""
[DEFAULT]{common}
bind_port = {port}
workers = {workers}
[pipeline:main]
pipeline = healthcheck {kind}-server
[filter:healthcheck]
use = egg:swift#healthcheck
[app:{kind}-server]
use = egg:swift#{kind}
""")
    life = {"swift-proxy-short": state.document["short_token_life"]}
    for name in ("swift-proxy", "swift-proxy-short", "swift-proxy-keystone"):
        auth = "authtoken keystoneauth" if name == "swift-proxy-keystone" else "s3api tempauth"
        text = proxy(state, secret, auth, life.get(name, 86_400))
        (folder / f"{name}.conf").write_text(f"[DEFAULT]{common}\nbind_port = {state.port(name)}\nworkers = 2\n{text}")

    url = state.url("swift-proxy")
    state.document["swift"] = {
        "url": url,
        "auth_url": f"{url}/auth/v1.0",
        "short_auth_url": f"{state.url('swift-proxy-short')}/auth/v1.0",
        "s3_url": url,
        "s3_region": REGION,
        "keystone_url": f"{state.url('swift-proxy-keystone')}/v1",
        "users": {
            user: {"password": password, "storage_url": f"{url}/v1/AUTH_{user.partition(':')[0]}"}
            for user, (password, _) in USERS.items()
        },
    }
    return programs(state, installation, folder)


def programs(state, installation, folder):
    started = {}
    if state.has_memcached():
        words = [state.document["memcached"], "-l", "127.0.0.1", "-p", state.port("memcached"), "-U", "0", "-m", "64"]
        started["memcached"] = Program([*words, "-u", getpass.getuser()])
    for name in ("account", "container", "object", "proxy", "proxy-short", "proxy-keystone"):
        program = installation.program(f"swift-{name.partition('-')[0]}-server")
        words = [program, folder / f"swift-{name}.conf", "-v"]
        started[f"swift-{name}"] = Program(words, "/healthcheck", environment={"PYTHONPATH": str(folder)})
    return started


def proxy(state, secret, auth, token_life):
    """Everything of a proxy but where it listens."""
    cache = "paste.filter_factory = landfall_no_cache:filter_factory"
    if state.has_memcached():
        cache = f"use = egg:swift#memcache\nmemcache_servers = {state.memcached_address()}"
    people = "".join(
        f"user_{user.replace(':', '_')} = {password} {groups}\n" for user, (password, groups) in USERS.items()
    )
    plain = "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in PLAIN)
    return f"""
[pipeline:main]
pipeline = {PIPELINE.format(auth=auth)}
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
# A server that was killed and is back is used at once, not after a minute.
error_suppression_limit = 1000000
{plain}[filter:proxy-logging]
use = egg:swift#proxy_logging
[filter:cache]
{cache}
[filter:tempurl]
use = egg:swift#tempurl
# The first of these is off by default, and still met.
allowed_digests = sha1 sha256 sha512
[filter:slo]
use = egg:swift#slo
min_segment_size = 1
# Else one segment a second from the eleventh on.
rate_limit_after_segment = 100000
[filter:dlo]
use = egg:swift#dlo
rate_limit_after_segment = 100000
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
[filter:s3api]
use = egg:swift#s3api
location = {REGION}
s3_acl = false
dns_compliant_bucket_names = false
[filter:tempauth]
use = egg:swift#tempauth
reseller_prefix = AUTH
token_life = {token_life}
{people}storage_url_scheme = http
# Tokens that say themselves what they are need no cache.
active_fernet_key_id = one
fernet_key_one = {secret}
[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
www_authenticate_uri = {state.url("keystone")}/v3
auth_url = {state.url("keystone")}/v3
auth_type = password
username = swift
password = swift-password
project_name = service
project_domain_id = default
user_domain_id = default
delay_auth_decision = true
service_token_roles_required = true
{state.token_cache()}
[filter:keystoneauth]
use = egg:swift#keystoneauth
reseller_prefix = KEY
operator_roles = admin, member
"""

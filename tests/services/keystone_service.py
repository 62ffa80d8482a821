"""Keystone, twice upon one database: `keystone-short` gives tokens that live for seconds. Each accepts the other's."""

import json
import shutil
import sqlite3

from processes import Program


def gunicorn(state, installation, name, module, threads, **environment):
    """A program that serves this module. It has no arguments, because Keystone would take them for its own."""
    folder = state.path("gunicorn", name)
    (folder / "gunicorn.conf.py").write_text(f"""
wsgi_app = {module!r}
bind = "127.0.0.1:{state.port(name)}"
workers, worker_class, threads = 1, "gthread", {threads}
timeout, graceful_timeout, keepalive = 0, 2, 30
worker_tmp_dir = {str(folder)!r}
loglevel = "warning"
control_socket_disable = True
""")
    words = [installation.program("gunicorn")]
    return Program(words, "/healthcheck", directory=str(folder), environment=environment)


def configure(state, installation):
    """Lays out the database that was made with the installation, with the ports of this folder."""
    data = state.path("keystone")
    for keys in ("fernet-keys", "credential-keys"):
        shutil.copytree(installation.databases / keys, data / keys)
    shutil.copy(installation.databases / "keystone.db", data)
    database = sqlite3.connect(data / "keystone.db")
    for host, service in (("keystone", "keystone"), ("glance", "glance"), ("swift", "swift-proxy-keystone")):
        change = "UPDATE endpoint SET url = replace(url, ?, ?) WHERE url LIKE ?"
        database.execute(change, (f"http://{host}/", f"{state.url(service)}/", f"http://{host}/%"))
        # Glance's has no path.
        database.execute("UPDATE endpoint SET url = ? WHERE url = ?", (state.url(service), f"http://{host}"))
    database.commit()
    database.close()

    known = json.loads((installation.databases / "identities.json").read_text(encoding="utf-8"))
    state.document["keystone"] = {
        "auth_url": f"{state.url('keystone')}/v3",
        "short_auth_url": f"{state.url('keystone-short')}/v3",
        **known,
    }
    cache = "enabled = false"
    if state.has_memcached():
        cache = f"enabled = true\nbackend = oslo_cache.memcache_pool\nmemcache_servers = {state.memcached_address()}"
    programs = {}
    for name, life in (("keystone", 3600), ("keystone-short", state.document["short_token_life"])):
        folder = state.path("keystone", name)
        (folder / "keystone.conf").write_text(f"""
[database]
connection = sqlite:///{data}/keystone.db
[token]
provider = fernet
expiration = {life}
# Else a service's token makes an expired one good.
allow_expired_window = 0
[fernet_tokens]
key_repository = {data}/fernet-keys
[fernet_receipts]
key_repository = {data}/fernet-keys
[credential]
key_repository = {data}/credential-keys
[identity]
password_hash_rounds = 4
[cache]
{cache}
""")
        # One thread: SQLite refuses a reader that turns writer while somebody else writes, and Keystone would answer with 500.
        module = "keystone.wsgi.api:application"
        programs[name] = gunicorn(state, installation, name, module, 1, OS_KEYSTONE_CONFIG_DIR=str(folder))
    return programs

"""Glance, twice upon one database and the same stores: `glance-hidden` shows locations to services only."""

import shutil
import sqlite3
from contextlib import closing

from keystone_service import gunicorn


def configure(state, installation):
    """Writes the settings; gives how the services are started."""
    data = state.path("glance")
    for name in ("images", "staging", "tasks", "lock"):
        state.path("glance", name)
    shutil.copy(installation.databases / "glance.db", data)
    # Whoever reads holds up nobody who writes.
    with closing(sqlite3.connect(data / "glance.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
    store = data / "swift-store.conf"
    # It holds a password.
    store.touch(mode=0o600)
    store.write_text(f"""
[landfall]
auth_address = {state.url("keystone")}/v3
user = service:glance
key = glance-password
project_domain_id = default
user_domain_id = default
""")
    programs = {}
    for name, shown in (("glance", "true"), ("glance-hidden", "false")):
        folder = state.path("glance", name)
        (folder / "glance-api.conf").write_text(settings(state, installation, data, name, shown))
        # The import of an image goes on in a thread beside those that answer.
        module = "glance.wsgi.api:application"
        programs[name] = gunicorn(state, installation, name, module, 8, OS_GLANCE_CONFIG_DIR=str(folder))
    state.document["glance"] = {
        "url": state.url("glance"),
        "hidden_url": state.url("glance-hidden"),
        "stores": ["fs", "web", "sw"],
        "images": f"{data}/images",
    }
    return programs


def settings(state, installation, data, name, shown):
    return f"""
[DEFAULT]
bind_host = 127.0.0.1
enabled_backends = fs:file, web:http, sw:swift
show_multiple_locations = {shown}
show_image_direct_url = {shown}
enabled_import_methods = [glance-direct,web-download,copy-image]
node_staging_uri = file://{data}/staging
worker_self_reference_url = {state.url(name)}
http_retries = 1
[database]
connection = sqlite:///{data}/glance.db
[paste_deploy]
config_file = {installation.venv}/etc/glance/glance-api-paste.ini
flavor = keystone
[glance_store]
default_backend = fs
[fs]
filesystem_store_datadir = {data}/images
[web]
https_insecure = true
[sw]
default_swift_reference = landfall
swift_store_config_file = {data}/swift-store.conf
swift_store_container = glance
swift_store_create_container_on_put = true
# In MiB. This store says a wrong length of the last segment where the size is known, so what has a known size is one object;
# what has none becomes a dynamic large object.
swift_store_large_object_size = 5120
swift_store_large_object_chunk_size = 64
[os_glance_staging_store]
filesystem_store_datadir = {data}/staging
[os_glance_tasks_store]
filesystem_store_datadir = {data}/tasks
[import_filtering_opts]
# By default no location on the loopback, and ports 80 and 443 only.
allowed_hosts = [127.0.0.1,localhost]
allowed_ports = []
[oslo_concurrency]
lock_path = {data}/lock
[keystone_authtoken]
www_authenticate_uri = {state.url("keystone")}/v3
auth_url = {state.url("keystone")}/v3
auth_type = password
username = glance
password = glance-password
project_name = service
project_domain_id = default
user_domain_id = default
service_token_roles_required = true
{state.token_cache()}
[oslo_policy]
enforce_scope = true
"""

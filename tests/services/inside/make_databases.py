"""Makes what every start of Keystone and Glance would otherwise make anew, in DIR: make_databases.py DIR

keystone.db, glance.db, Keystone's keys, and identities.json, which says who is in it. URLs of endpoints stand for ports that are
not chosen yet. One process does it, because each command of Keystone's own takes seconds to begin.
"""

import json
import os
import sys
import uuid
from pathlib import Path

DIR = Path(sys.argv[1]).resolve()
REGION = "RegionOne"


def new_id():
    return uuid.uuid4().hex


def keystone_config():
    file = DIR / "keystone.conf"
    file.write_text(f"""
[database]
connection = sqlite:///{DIR}/keystone.db
[token]
provider = fernet
[fernet_tokens]
key_repository = {DIR}/fernet-keys
[fernet_receipts]
key_repository = {DIR}/fernet-keys
[credential]
key_repository = {DIR}/credential-keys
[identity]
password_hash_rounds = 4
[cache]
enabled = false
""")
    return file


def manage_keystone(config, *words):
    import keystone.cmd.manage  # noqa: F401: sets up what its command line needs
    import keystone.conf
    from keystone.cmd import cli

    sys.argv = ["keystone-manage", "--config-file", str(config), *words]
    keystone.conf.CONF.clear()
    cli.main(argv=sys.argv)


def fill_keystone(config):
    for name in ("fernet-keys", "credential-keys"):
        (DIR / name).mkdir(mode=0o700)
    owner = ("--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid()))
    manage_keystone(config, "db_sync")
    manage_keystone(config, "fernet_setup", *owner)
    manage_keystone(config, "credential_setup", *owner)
    urls = [word for kind in ("public", "internal", "admin") for word in (f"--bootstrap-{kind}-url", "http://keystone/v3")]
    words = ("--bootstrap-password", "admin-password", "--bootstrap-region-id", REGION, *urls)
    manage_keystone(config, "bootstrap", *words)


def identities():
    """Adds services, projects and people; gives them as the tests want to know them."""
    from keystone.common.provider_api import ProviderAPIs as apis

    roles = {role["name"]: role["id"] for role in apis.role_api.list_roles()}
    # A domain is a project to this list.
    found = [project for project in apis.resource_api.list_projects() if not project["is_domain"]]
    projects = {project["name"]: project["id"] for project in found}
    users = {"admin": {"password": "admin-password", "project": "admin"}}

    def add_user(name, project, *its_roles):
        if project not in projects:
            made = {"id": new_id(), "name": project, "domain_id": "default", "enabled": True}
            projects[project] = apis.resource_api.create_project(made["id"], made)["id"]
        password = f"{name}-password"
        wanted = {"name": name, "password": password, "domain_id": "default", "enabled": True}
        user = apis.identity_api.create_user(wanted)["id"]
        for role in its_roles:
            apis.assignment_api.create_grant(roles[role], user_id=user, project_id=projects[project])
        users[name] = {"password": password, "project": project, "id": user}

    for name in ("glance", "swift", "nova"):
        add_user(name, "service", "admin", "service")
    add_user("demo", "demo", "member")
    add_user("other", "other", "member")

    credential = {"id": new_id(), "name": "landfall", "secret": "demo-application-secret"}
    more = {"user_id": users["demo"]["id"], "project_id": projects["demo"], "roles": [{"id": roles[name]} for name in ("member", "reader")]}
    apis.application_credential_api.create_application_credential({**credential, **more})

    for kind, name, path in (("image", "glance", ""), ("object-store", "swift", "/v1/KEY_$(project_id)s")):
        service = new_id()
        apis.catalog_api.create_service(service, {"id": service, "type": kind, "name": name, "enabled": True})
        for interface in ("public", "internal", "admin"):
            endpoint = {"id": new_id(), "interface": interface, "service_id": service, "region_id": REGION}
            apis.catalog_api.create_endpoint(endpoint["id"], {**endpoint, "enabled": True, "url": f"http://{name}{path}"})
    return {"region": REGION, "domain": "default", "users": users, "projects": projects, "application_credential": credential}


def fill_glance():
    from glance.cmd import manage

    file = DIR / "glance-api.conf"
    file.write_text(f"[database]\nconnection = sqlite:///{DIR}/glance.db\n")
    sys.argv = ["glance-manage", "--config-file", str(file), "db_sync"]
    if status := manage.main():
        sys.exit(status)


config = keystone_config()
if os.fork() == 0:
    # Both keep their settings in globals of the same libraries.
    fill_glance()
    sys.exit(0)
fill_keystone(config)
(DIR / "identities.json").write_text(json.dumps(identities(), indent=1))
if os.wait()[1] != 0:
    sys.exit("glance.db was not made")

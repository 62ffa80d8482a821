//! People of Keystone, and their tokens.

use serde_json::{Value, json};

use super::http::{request, request_json};
use super::{OpenStack, session};

/// How somebody can show who they are.
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) password: String,
    pub(crate) project: String,
    /// The id of the project.
    pub(crate) project_id: String,
}

/// What stands in for a password: of `demo`, in the project `demo`.
pub(crate) struct ApplicationCredential {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl OpenStack {
    /// Keystone's URL, as clients want it.
    pub(crate) fn auth_url(&self) -> String {
        self.text(&["keystone", "auth_url"])
    }

    /// The URL of the one whose tokens live for [`OpenStack::short_life`]. It is started with this.
    pub(crate) fn short_auth_url(&self) -> String {
        self.start("keystone-short");
        self.text(&["keystone", "short_auth_url"])
    }

    /// The region of all endpoints.
    pub(crate) fn region(&self) -> String {
        self.text(&["keystone", "region"])
    }

    /// `admin`; `glance`, `swift` and `nova`, which are services; `demo` and `other`, which are not, with a project each. All
    /// are of the domain `Default`.
    pub(crate) fn person(&self, name: &str) -> Person {
        let of = |key| self.text(&["keystone", "users", name, key]);
        let project = of("project");
        let project_id = self.text(&["keystone", "projects", &project]);
        Person { name: name.to_owned(), password: of("password"), project, project_id }
    }

    pub(crate) fn application_credential(&self) -> ApplicationCredential {
        let of = |key| self.text(&["keystone", "application_credential", key]);
        ApplicationCredential { id: of("id"), secret: of("secret") }
    }

    /// A token of this person.
    pub(crate) fn token(&self, name: &str) -> String {
        token(&self.auth_url(), &self.by_password(name)).0
    }

    /// A token that lives for [`OpenStack::short_life`].
    pub(crate) fn short_token(&self, name: &str) -> String {
        token(&self.short_auth_url(), &self.by_password(name)).0
    }

    /// A token for an application credential.
    pub(crate) fn token_of(&self, credential: &ApplicationCredential) -> String {
        let way = json!({ "id": credential.id, "secret": credential.secret });
        let identity = json!({ "methods": ["application_credential"], "application_credential": way });
        token(&self.auth_url(), &json!({ "auth": { "identity": identity } })).0
    }

    /// Takes a token back; it is refused everywhere from now on.
    pub(crate) fn revoke(&self, token: &str) {
        let headers = [("X-Auth-Token", token), ("X-Subject-Token", token)];
        request("DELETE", &format!("{}/auth/tokens", self.auth_url()), &headers, b"").ok();
        // The others remember for minutes what Keystone said about it.
        session::tell("forget");
    }

    /// The public URL of a service of this type, from the catalog in the answer to a login.
    pub(crate) fn endpoint(&self, name: &str, kind: &str) -> String {
        let (_, document) = token(&self.auth_url(), &self.by_password(name));
        let catalog = document["token"]["catalog"].as_array().expect("a catalog");
        let service = catalog.iter().find(|service| service["type"] == kind).expect("the service");
        let endpoints = service["endpoints"].as_array().expect("endpoints");
        let public = endpoints.iter().find(|endpoint| endpoint["interface"] == "public").expect("a public one");
        public["url"].as_str().expect("a URL").to_owned()
    }

    fn by_password(&self, name: &str) -> Value {
        let Person { name, password, project, .. } = self.person(name);
        let domain = json!({ "id": "default" });
        let user = json!({ "name": name, "domain": domain, "password": password });
        let identity = json!({ "methods": ["password"], "password": { "user": user } });
        json!({ "auth": { "identity": identity, "scope": { "project": { "name": project, "domain": domain } } } })
    }
}

fn token(auth_url: &str, login: &Value) -> (String, Value) {
    let reply = request_json("POST", &format!("{auth_url}/auth/tokens"), &[], login).ok();
    (reply.header("X-Subject-Token").to_owned(), reply.json())
}

//! The bodies that Keystone is asked with (Identity API v3, `POST /v3/auth/tokens`).
//!
//! Where an id and a name are given, the id counts, as in keystoneauth. A name needs its domain: which one is meant
//! where none is written is for whoever made the cloud's entry to say, and not guessed here.

use landfall_handler_api::{Cloud, CloudLogin, CloudScope, CloudUser, Error, ErrorKind, Result, Scope as ErrorScope};
use serde::Serialize;

use crate::refusal::bad_login;

/// Bytes that a body has at first: enough for all but unusual ones, so that it is not copied while it grows.
const BODY_USUAL: usize = 8 << 10;

#[derive(Serialize)]
struct Body<'a> {
    auth: Auth<'a>,
}

#[derive(Serialize)]
struct Auth<'a> {
    identity: Identity<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Scope<'a>>,
}

#[derive(Default, Serialize)]
struct Identity<'a> {
    methods: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<Password<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_credential: Option<Credential<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Token<'a>>,
}

#[derive(Serialize)]
struct Password<'a> {
    user: PasswordUser<'a>,
}

#[derive(Serialize)]
struct PasswordUser<'a> {
    #[serde(flatten)]
    user: Named<'a>,
    password: &'a str,
}

#[derive(Serialize)]
struct Credential<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Named<'a>>,
    secret: &'a str,
}

#[derive(Serialize)]
struct Token<'a> {
    id: &'a str,
}

/// A user or a project.
#[derive(Serialize)]
#[serde(untagged)]
enum Named<'a> {
    Id { id: &'a str },
    Name { name: &'a str, domain: Domain<'a> },
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Domain<'a> {
    Id(&'a str),
    Name(&'a str),
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Scope<'a> {
    Project(Named<'a>),
    Domain(Domain<'a>),
    System { all: bool },
}

/// The body of a login at Keystone.
pub(crate) fn body(cloud: &Cloud) -> Result<Vec<u8>> {
    let (identity, scope) = match &cloud.login {
        CloudLogin::Password { user, password } => {
            let user = PasswordUser { user: named_user(user)?, password };
            let identity = Identity { methods: ["password"], password: Some(Password { user }), ..Identity::default() };
            (identity, scope(&cloud.scope)?)
        }
        CloudLogin::ApplicationCredential { id, name, user, secret } => {
            let credential = match (given(id.as_ref()), given(name.as_ref())) {
                (Some(id), _) => Credential { id: Some(id), name: None, user: None, secret },
                (None, Some(name)) => Credential { id: None, name: Some(name), user: Some(named_user(user)?), secret },
                (None, None) => return Err(bad_login("the application credential has neither an id nor a name")),
            };
            let methods = ["application_credential"];
            // It has its own scope, and Keystone refuses another.
            (Identity { methods, application_credential: Some(credential), ..Identity::default() }, None)
        }
        CloudLogin::Token { token, .. } => {
            let identity = Identity { methods: ["token"], token: Some(Token { id: token }), ..Identity::default() };
            (identity, scope(&cloud.scope)?)
        }
        _ => {
            let message = "this kind of login is none of Keystone's";
            return Err(Error::new(ErrorKind::Unsupported, "login-type", message).scoped(ErrorScope::Location));
        }
    };
    let mut body = Vec::with_capacity(BODY_USUAL);
    serde_json::to_writer(&mut body, &Body { auth: Auth { identity, scope } })
        .map_err(|_| Error::new(ErrorKind::Internal, "login-body", "the login cannot be written as JSON"))?;
    Ok(body)
}

/// What is empty was not given.
fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

fn domain<'a>(id: Option<&'a String>, name: Option<&'a String>) -> Option<Domain<'a>> {
    given(id).map(Domain::Id).or_else(|| given(name).map(Domain::Name))
}

fn named_user(user: &CloudUser) -> Result<Named<'_>> {
    if let Some(id) = given(user.user_id.as_ref()) {
        return Ok(Named::Id { id });
    }
    let name =
        given(user.username.as_ref()).ok_or_else(|| bad_login("the login has neither a user_id nor a username"))?;
    let domain = domain(user.user_domain_id.as_ref(), user.user_domain_name.as_ref())
        .ok_or_else(|| bad_login("the username has neither a user_domain_id nor a user_domain_name"))?;
    Ok(Named::Name { name, domain })
}

/// Without any scope Keystone takes the user's default project, where there is one.
fn scope(scope: &CloudScope) -> Result<Option<Scope<'_>>> {
    let project = match (given(scope.project_id.as_ref()), given(scope.project_name.as_ref())) {
        (Some(id), _) => Some(Named::Id { id }),
        (None, Some(name)) => {
            let domain =
                domain(scope.project_domain_id.as_ref(), scope.project_domain_name.as_ref()).ok_or_else(|| {
                    bad_login("the project_name has neither a project_domain_id nor a project_domain_name")
                })?;
            Some(Named::Name { name, domain })
        }
        (None, None) => None,
    };
    let domain = domain(scope.domain_id.as_ref(), scope.domain_name.as_ref());
    match (project, domain, scope.system) {
        (None, None, false) => Ok(None),
        (Some(project), None, false) => Ok(Some(Scope::Project(project))),
        (None, Some(domain), false) => Ok(Some(Scope::Domain(domain))),
        (None, None, true) => Ok(Some(Scope::System { all: true })),
        _ => Err(bad_login("the login's scope is more than one of a project, a domain and the system")),
    }
}

#[cfg(test)]
mod tests;

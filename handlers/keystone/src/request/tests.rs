use serde_json::{Value, json};

use super::*;

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn id(id: &str) -> CloudUser {
    CloudUser { user_id: text(id), ..CloudUser::default() }
}

fn named(name: &str, domain_id: Option<&str>, domain_name: Option<&str>) -> CloudUser {
    CloudUser {
        user_id: None,
        username: text(name),
        user_domain_id: domain_id.map(str::to_owned),
        user_domain_name: domain_name.map(str::to_owned),
    }
}

fn asked(login: CloudLogin, scope: CloudScope) -> Result<Value> {
    let mut cloud = Cloud::default();
    (cloud.login, cloud.scope) = (login, scope);
    body(&cloud).map(|body| serde_json::from_slice(&body).unwrap())
}

fn password(user: CloudUser) -> CloudLogin {
    CloudLogin::Password { user, password: "CANARY \"é\"".to_owned() }
}

fn credential(id: Option<&str>, name: Option<&str>, user: CloudUser) -> CloudLogin {
    let [id, name] = [id, name].map(|text| text.map(str::to_owned));
    CloudLogin::ApplicationCredential { id, name, user, secret: "CANARY".to_owned() }
}

#[test]
fn a_password_is_sent_with_its_user() {
    let both = CloudUser { username: text("n"), user_domain_id: text("d"), ..id("u") };
    for (user, expected) in [
        (id("u"), json!({"id": "u"})),
        (both, json!({"id": "u"})),
        (named("n", Some("default"), None), json!({"name": "n", "domain": {"id": "default"}})),
        (named("n", None, Some("Default")), json!({"name": "n", "domain": {"name": "Default"}})),
        (named("n", Some("default"), Some("Default")), json!({"name": "n", "domain": {"id": "default"}})),
        (named("n", Some(""), Some("Default")), json!({"name": "n", "domain": {"name": "Default"}})),
    ] {
        let mut expected = expected;
        expected["password"] = json!("CANARY \"é\"");
        let expected = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": expected}}}});
        assert_eq!(asked(password(user), CloudScope::default()).unwrap(), expected);
    }
}

#[test]
fn an_application_credential_is_sent_without_a_scope() {
    let scope = CloudScope { project_id: text("p"), ..CloudScope::default() };
    for (login, expected) in [
        (credential(Some("i"), None, CloudUser::default()), json!({"id": "i", "secret": "CANARY"})),
        (credential(Some("i"), Some("n"), id("u")), json!({"id": "i", "secret": "CANARY"})),
        (credential(None, Some("n"), id("u")), json!({"name": "n", "user": {"id": "u"}, "secret": "CANARY"})),
        (
            credential(None, Some("n"), named("x", None, Some("D"))),
            json!({"name": "n", "user": {"name": "x", "domain": {"name": "D"}}, "secret": "CANARY"}),
        ),
    ] {
        let methods = ["application_credential"];
        let expected = json!({"auth": {"identity": {"methods": methods, "application_credential": expected}}});
        assert_eq!(asked(login, scope.clone()).unwrap(), expected);
    }
}

#[test]
fn the_scope_is_what_the_entry_says() {
    let of = |change: &dyn Fn(&mut CloudScope)| {
        let mut scope = CloudScope::default();
        change(&mut scope);
        scope
    };
    let name = of(&|scope| (scope.project_name, scope.project_domain_name) = (text("p"), text("D")));
    for (scope, expected) in [
        (of(&|scope| scope.project_id = text("p")), json!({"project": {"id": "p"}})),
        (CloudScope { project_id: text("i"), ..name.clone() }, json!({"project": {"id": "i"}})),
        (
            CloudScope { project_domain_id: text("d"), ..name.clone() },
            json!({"project": {"name": "p", "domain": {"id": "d"}}}),
        ),
        (name, json!({"project": {"name": "p", "domain": {"name": "D"}}})),
        (of(&|scope| scope.domain_id = text("d")), json!({"domain": {"id": "d"}})),
        (of(&|scope| scope.domain_name = text("D")), json!({"domain": {"name": "D"}})),
        (of(&|scope| scope.system = true), json!({"system": {"all": true}})),
    ] {
        let login = CloudLogin::Token { token: "CANARY".to_owned(), keep: false };
        let identity = json!({"methods": ["token"], "token": {"id": "CANARY"}});
        assert_eq!(asked(login, scope.clone()).unwrap(), json!({"auth": {"identity": identity, "scope": expected}}));
        assert_eq!(asked(password(id("u")), scope).unwrap()["auth"]["scope"], expected);
    }
    // A project's domain alone scopes nothing.
    let domain = of(&|scope| scope.project_domain_id = text("d"));
    assert_eq!(asked(password(id("u")), domain).unwrap()["auth"].get("scope"), None);
}

#[test]
fn what_is_missing_or_too_much_is_told_without_the_secret() {
    let none = CloudScope::default;
    let project = || CloudScope { project_id: text("p"), ..none() };
    for (login, scope, part) in [
        (password(CloudUser::default()), none(), "username"),
        (password(id("")), none(), "username"),
        (password(named("n", None, None)), none(), "user_domain_id"),
        (password(named("n", Some(""), None)), none(), "user_domain_id"),
        (credential(None, None, id("u")), none(), "application credential"),
        (credential(None, Some("n"), CloudUser::default()), none(), "username"),
        (password(id("u")), CloudScope { project_name: text("p"), ..none() }, "project_domain_id"),
        (password(id("u")), CloudScope { domain_id: text("d"), ..project() }, "scope"),
        (password(id("u")), CloudScope { system: true, ..project() }, "scope"),
    ] {
        let error = asked(login, scope).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "bad-login"));
        assert!(error.message().contains(part) && !error.message().contains("CANARY"), "{error}");
    }
    let error = asked(CloudLogin::None, none()).unwrap_err();
    assert_eq!((error.kind(), error.scope()), (ErrorKind::Unsupported, ErrorScope::Location));
}

use std::collections::VecDeque;

use super::*;

/// Answers with one list after the other, and counts.
struct Script(Mutex<VecDeque<Vec<&'static str>>>);

impl Lookup for Script {
    fn lookup(&self, _: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
        let answer = self.0.lock().unwrap().pop_front();
        Box::pin(ready(match answer {
            Some(answer) => Ok(answer.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect()),
            None => Err(io::Error::other("asked too often")),
        }))
    }
}

fn names(answers: &[&[&'static str]], proxy: Option<&str>) -> Names {
    let script = Script(Mutex::new(answers.iter().map(|answer| answer.to_vec()).collect()));
    Names::new(Arc::new(script), Arc::default(), proxy.map(|proxy| proxy.parse().unwrap()))
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn admit(names: &Names, url: &str, trusted: bool) -> Result<(), String> {
    wait(names.admit(&url.parse().unwrap(), trusted)).map_err(|error| error.code().to_owned())
}

fn connects_to(names: &Names, name: &str) -> Vec<String> {
    let Ok(found) = wait(names.resolve(name.parse().unwrap())) else { return Vec::new() };
    found.map(|address| address.ip().to_string()).collect()
}

#[test]
fn a_name_is_looked_up_once() {
    let names = names(&[&["10.0.0.1"], &["169.254.169.254"]], None);
    for _ in 0..3 {
        admit(&names, "http://store/x", false).unwrap();
        assert_eq!(connects_to(&names, "store"), ["10.0.0.1"]);
    }
}

#[test]
fn only_the_good_addresses_of_a_name_are_used() {
    let names = names(&[&["127.0.0.1", "10.0.0.1", "fe80::1", "10.0.0.2"], &["::1", "127.0.0.1"]], None);
    admit(&names, "http://store/x", false).unwrap();
    assert_eq!(connects_to(&names, "store"), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(admit(&names, "http://other/x", false), Err("address-refused".to_owned()));
}

#[test]
fn a_trusted_name_may_be_anywhere_until_somebody_else_names_it() {
    let names = names(&[&["127.0.0.1"]], None);
    admit(&names, "http://store/x", true).unwrap();
    assert_eq!(connects_to(&names, "store"), ["127.0.0.1"]);
    assert_eq!(admit(&names, "http://store:81/x", false), Err("address-refused".to_owned()));
}

#[test]
fn addresses_in_urls_are_checked_however_they_are_written() {
    let names = names(&[], None);
    for url in [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://0x7f.1/",
        "http://2130706433/",
        "http://017700000001/",
        "http://127.0.0.1./",
        "http://[::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://%31%32%37.0.0.1/",
        "http://\u{ff11}27.0.0.1/",
        "http://0/",
    ] {
        assert_eq!(admit(&names, url, false), Err("address-refused".to_owned()), "{url}");
        assert_eq!(admit(&names, url, true), Ok(()), "{url}");
    }
    assert_eq!(admit(&names, "http://10.0.0.1/", false), Ok(()));
    assert_eq!(admit(&names, "http://[fd00::1]/", false), Ok(()));
}

#[test]
fn nothing_is_connected_to_that_was_not_let_through() {
    let names = names(&[&["10.0.0.1"], &[]], None);
    assert!(connects_to(&names, "store").is_empty());
    admit(&names, "http://store/", false).unwrap();
    assert_eq!(admit(&names, "http://nowhere/", false), Err("name-not-found".to_owned()));
    assert_eq!(admit(&names, "http://broken/", false), Err("name-not-found".to_owned()));
}

#[test]
fn behind_a_proxy_only_the_proxy_is_looked_up() {
    let names = names(&[&["127.0.0.1"]], Some("http://proxy:3128"));
    admit(&names, "http://store/", false).unwrap();
    assert_eq!(connects_to(&names, "proxy"), ["127.0.0.1"]);
    assert!(connects_to(&names, "store").is_empty());
    assert_eq!(admit(&names, "http://169.254.169.254/", false), Err("address-refused".to_owned()));
}

//! That passwords and tokens are shown nowhere and kept nowhere.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::support::answer::CANARY;
use crate::support::left_over::processes;
use crate::support::mode::Mode;
use crate::support::world::World;

use super::site::Site;

/// What every token of this Keystone begins with.
const TOKEN: &str = "gAAAAA";

/// What is searched for.
struct Search(Vec<String>);

impl Search {
    fn new(site: &Site<'_>) -> Self {
        let passwords = ["demo", "glance", "nova"].map(|name| site.services.person(name).password);
        let others = [site.services.application_credential().secret, TOKEN.to_owned(), CANARY.to_owned()];
        Self(passwords.into_iter().chain(others).collect())
    }

    fn held(&self, bytes: &[u8]) -> Vec<&str> {
        let text = String::from_utf8_lossy(bytes);
        self.0.iter().map(String::as_str).filter(|secret| text.contains(secret)).collect()
    }

    /// In files beneath a directory, with their names.
    fn in_files(&self, dir: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(self.in_files(&path));
            } else {
                let bytes = fs::read(&path).unwrap();
                found.extend(self.held(&bytes).iter().map(|secret| format!("{}: {secret}", path.display())));
            }
        }
        found
    }

    /// In the command lines and environments of processes.
    fn in_processes(&self, among: &[Pid]) -> Vec<(Pid, &'static str, String)> {
        let mut found = Vec::new();
        for &process in among {
            for place in ["cmdline", "environ"] {
                let bytes = fs::read(format!("/proc/{process}/{place}")).unwrap();
                found.extend(self.held(&bytes).into_iter().map(|secret| (process, place, secret.to_owned())));
            }
        }
        found
    }
}

/// What runs that succeed and runs that fail print, and what they leave.
pub(crate) fn of_runs(world: &World) {
    let site = Site::new(world);
    let (search, id) = (Search::new(&site), site.image("sw"));
    let credential = site.services.application_credential();
    let at = ("OS_AUTH_URL", site.services.auth_url());
    let by_credential = |secret: &str| {
        vec![
            at.clone(),
            ("OS_AUTH_TYPE", "v3applicationcredential".to_owned()),
            ("OS_APPLICATION_CREDENTIAL_ID", credential.id.clone()),
            ("OS_APPLICATION_CREDENTIAL_SECRET", secret.to_owned()),
        ]
    };
    let by_token = |token: &str| {
        let project = site.services.person("demo").project_id;
        vec![at.clone(), ("OS_TOKEN", token.to_owned()), ("OS_PROJECT_ID", project)]
    };
    let by_password = |password: &str| {
        let mut openrc = site.openrc("demo");
        openrc[2].1 = password.to_owned();
        openrc
    };
    let token = site.services.token("demo");
    assert_eq!(search.held(token.as_bytes()), [TOKEN], "what a token is searched for by");
    let wrong_token = format!("{TOKEN}{CANARY}");
    let ways = [
        ("password", by_password(&site.services.person("demo").password), true),
        ("wrong password", by_password(CANARY), false),
        ("credential", by_credential(&credential.secret), true),
        ("wrong credential", by_credential(CANARY), false),
        ("token", by_token(&token), true),
        ("wrong token", by_token(&wrong_token), false),
    ];
    for (way, variables, works) in &ways {
        let shown = |image: &str, command: &str| {
            let command = site.sandbox.landfall(command).arg(image).arg("--to").arg(site.sandbox.out("disk"));
            let answer = site.with(command.args(["--progress", "json"]).for_terminal(), variables).run();
            assert_eq!(search.held(answer.text().as_bytes()), [""; 0], "{way}: {answer:#?}");
            answer.status
        };
        // An image that there is, and one that there is not.
        assert_eq!(shown(&id, "place"), if *works { 0 } else { 13 }, "{way}");
        assert_eq!(shown("9f8b7c0e-53a2-4f0b-9c53-6f1c1f7d2a10", "place"), if *works { 12 } else { 13 }, "{way}");
        shown(&id, "plan");
        let _ = fs::remove_file(site.sandbox.out("disk"));
    }
    for words in [&["history"][..], &["placements"], &["config", "show"], &["config", "check"]] {
        let answer = site.with(site.sandbox.landfall(words[0]).args(&words[1..]), &ways[0].1).run();
        assert_eq!((answer.status, search.held(answer.text().as_bytes())), (0, vec![]), "{answer:#?}");
    }
    let state = site.sandbox.home("state");
    assert_eq!([search.in_files(&state), search.in_files(site.sandbox.out_dir())].concat(), [""; 0]);

    // What is planted is found, and the store's own password is, in the file that it is for.
    let planted = state.join("planted");
    fs::write(&planted, format!("\0{token}\n{}", credential.secret)).unwrap();
    assert_eq!(search.in_files(&state).len(), 2);
    assert_eq!(search.in_files(&site.sandbox.home(".")).len(), 3);
}

/// What others could see of agent and workers while they download: from Swift, and from Glance itself.
pub(crate) fn of_processes(world: &World) {
    let site = Site::new(world);
    let search = Search::new(&site);
    for store in ["sw", "fs"] {
        let id = site.image(store);
        site.configure("", "[limits]\nbandwidth = \"256KiB\"\n");
        let running = site.begun(site.place(&id, "demo", "disk"));
        let agent = running.pid();
        let workers: Vec<Pid> = processes(&world.install.landfall)
            .into_iter()
            .map(|(process, _)| process)
            .filter(|&process| parent(process) == Some(agent))
            .collect();
        assert_eq!(workers.is_empty(), world.mode == Mode::Inline, "{store}: {workers:?}");
        // The calling person's own variable is what shows that the search finds such things.
        let password = site.services.person("demo").password;
        assert_eq!(search.in_processes(&[agent]), [(agent, "environ", password)], "{store}");
        assert_eq!(search.in_processes(&workers), [], "{store}");
        assert_eq!(search.in_files(&site.sandbox.home("state")), [""; 0], "{store}");
        running.signal(Signal::SIGTERM);
        let answer = running.finish();
        answer.failure("cancelled", "cancelled", "request");
        assert_eq!(search.held(answer.text().as_bytes()), [""; 0], "{store}: {answer:#?}");
        site.sandbox.only(&[]);
    }
}

fn parent(process: Pid) -> Option<Pid> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok().map(Pid::from_raw)
}

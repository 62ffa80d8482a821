//! The agent's own life: started by systemd or by hand, reloaded, stopped, replaced by another version while it works.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::{add_image, configure};
use crate::support::agent::{Agent, ask};
use crate::support::case::Case;
use crate::support::fault_server::FaultServer;
use crate::support::mounts::Fs;
use crate::support::needs::Need;
use crate::support::sandbox::Sandbox;
use crate::support::seeded::Content;
use crate::support::world::World;

const IMAGE: Content = Content::new(2 << 20, 66);

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, run: fn(&World)| Case::new(format!("agent::{name}"), run).mode_independent();
    vec![
        case("a_reload_counts_from_then_on", reload),
        case("a_bad_reload_changes_nothing", bad_reload),
        case("what_may_be_wrong_is_told_at_the_start", warnings),
        case("a_stop_lets_running_jobs_end", stop),
        case("a_stop_that_takes_too_long_gives_jobs_back", impatient_stop),
        case("one_agent_has_a_socket", one_agent),
        case("systemd_is_told_and_hands_the_socket_over", systemd),
        case("another_version_takes_over_in_a_storm", upgrade).needs(&[Need::Program("python3")]),
        case("the_command_line_goes_through_the_agent", command_line),
        case("logs_are_documents_and_hold_no_secret", logs),
    ]
}

struct Site<'w> {
    sandbox: Sandbox<'w>,
    server: FaultServer,
}

impl<'w> Site<'w> {
    fn new(world: &'w World, agent: &str) -> Self {
        let sandbox = Sandbox::on(world, Fs::Temp);
        configure(&sandbox, agent, "");
        let server = FaultServer::honest(IMAGE);
        add_image(&sandbox, "image", IMAGE, &server);
        Self { sandbox, server }
    }

    fn request(&self, name: &str) -> Value {
        json!({ "image": { "id": "image" }, "to": self.sandbox.out(name) })
    }

    fn config(&self) -> PathBuf {
        self.sandbox.home("landfall.toml")
    }

    /// Changes the configuration file.
    fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.config()).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        fs::write(self.config(), text.replace(from, to)).unwrap();
    }
}

fn reload(world: &World) {
    let site = Site::new(world, "queue = 100");
    let agent = Agent::start(&site.sandbox);
    site.server.hold_after(1 << 20);
    let before = agent.begin(&site.request("before"));
    agent.until("it is being moved", || agent.job(&before)["progress"]["stage"] == "moving");
    site.edit("queue = 100", "queue = 1");
    site.edit("node = \"novahost1\"", "node = \"novahost2\"");
    agent.signal(Signal::SIGHUP);
    for change in ["agent.queue = 1, was 100", "node = \"novahost2\", was \"novahost1\""] {
        agent.line(|line| line.contains(change)).unwrap_or_else(|| panic!("{change} is not told"));
    }
    let refused = agent.place(&site.request("after"));
    assert_eq!((refused.status, &refused.document["error"]["code"]), (503, &json!("queue-full")));
    site.server.go_on();
    assert_eq!(agent.report(&before)["ok"], true);
    let plan = agent.ask("POST", "/v0/plan", Some(&site.request("after")));
    assert_eq!(plan.document["decision"]["node"], "novahost2", "{:#}", plan.document);
    assert_eq!(agent.place(&site.request("after")).status, 200);
}

fn bad_reload(world: &World) {
    let site = Site::new(world, "queue = 100");
    let agent = Agent::start(&site.sandbox);
    let good = fs::read_to_string(site.config()).unwrap();
    let state = format!("{:?}", site.sandbox.home("state"));
    let cases = [
        (good.replace("queue = 100", "quewe = 5"), "did you mean `queue`"),
        (good.replace("queue = 100", "queue = "), "not TOML"),
        (good.replace(&state, &format!("{:?}", site.sandbox.home("other"))), "restart the agent"),
        // Where no plugin is found, and where none is wanted.
        (format!("handlers = [\"unheard-of\"]\n{good}"), "no handler would be left"),
    ];
    for (text, told) in cases {
        fs::write(site.config(), text).unwrap();
        agent.signal(Signal::SIGHUP);
        let line = agent.line(|line| line.contains(told)).unwrap_or_else(|| panic!("{told} is not told"));
        if !line.contains("the configuration stays as it was") {
            agent.line(|line| line.contains("the configuration stays as it was")).expect("what follows is told");
        }
        let name = format!("disk-{}", told.len());
        assert_eq!(agent.place(&site.request(&name)).status, 200);
    }
    fs::remove_file(site.config()).unwrap();
    agent.signal(Signal::SIGHUP);
    agent.line(|line| line.contains("the configuration stays as it was")).expect("a file that is gone is told");
    assert_eq!(agent.place(&site.request("disk")).status, 200);
}

/// Callers that cannot come to the socket, and directories that are not there.
fn warnings(world: &World) {
    let site = Site::new(world, "");
    let home = site.sandbox.home("x").parent().unwrap().to_owned();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
    let text = fs::read_to_string(site.config()).unwrap();
    let nowhere = format!("plugin_dirs = [{:?}]\n", site.sandbox.home("nowhere"));
    let rule = format!("\n[[agent.caller]]\nuids = [61001]\ntargets = [{:?}]\n", site.sandbox.out_dir());
    fs::write(site.config(), format!("{nowhere}{text}{rule}")).unwrap();
    let agent = Agent::start(&site.sandbox);
    agent.line(|line| line.contains("nowhere is not there")).expect("a plugin directory that is missing is told");
    let shut = format!("{} is shut to them", home.display());
    agent.line(|line| line.contains(&shut)).expect("the way to the socket is told");
    let health = agent.ask("GET", "/v0/health", None).document;
    assert!(health["handlers"].as_u64().is_some(), "{health:#}");
    assert!(health["configured_at"].as_str().unwrap().ends_with('Z'), "{health:#}");
}

fn stop(world: &World) {
    let site = Site::new(world, "stop = \"1h\"");
    let mut agent = Agent::start(&site.sandbox);
    site.server.hold_after(1 << 20);
    std::thread::scope(|scope| {
        let socket = agent.socket.clone();
        let request = site.request("disk");
        let waits = scope.spawn(move || ask(&socket, "POST", "/v0/place", Some(&request)));
        agent.until("it is being moved", || {
            agent.metric("landfall_jobs_running") == 1 && site.server.counts().sent_content() > 0
        });
        agent.signal(Signal::SIGTERM);
        agent.line(|line| line.contains("is being stopped")).expect("it tells so");
        // Nobody new is let in.
        agent.until("it does not accept", || agent.try_ask("GET", "/v0/health", None).is_none());
        site.server.go_on();
        let reply = waits.join().unwrap().expect("whoever waited is answered");
        assert_eq!(reply.status, 200, "{:#}", reply.document);
    });
    assert_eq!(agent.stop(), 0);
    assert!(!agent.socket.exists());
    assert_eq!(IMAGE.fault_of(&site.sandbox.out("disk")), None);
}

/// What does not end in time is given back to its callers, to be called for again.
fn impatient_stop(world: &World) {
    let site = Site::new(world, "stop = \"0s\"\njobs = 1");
    let mut agent = Agent::start(&site.sandbox);
    site.server.hold_after(1 << 20);
    std::thread::scope(|scope| {
        let socket = agent.socket.clone();
        let requests = ["one", "two"].map(|name| site.request(name));
        let waiting = requests.map(|request| {
            let socket = socket.clone();
            scope.spawn(move || ask(&socket, "POST", "/v0/place", Some(&request)))
        });
        agent.until("both are there", || {
            agent.metric("landfall_jobs_running") == 2 && site.server.counts().sent_content() > 0
        });
        assert_eq!(agent.stop(), 0);
        for one in waiting {
            let reply = one.join().unwrap().expect("whoever waited is answered");
            let error = &reply.document["error"];
            assert_eq!((reply.status, &error["code"]), (503, &json!("agent-stopping")), "{:#}", reply.document);
            assert_eq!(error["retry"], "later");
        }
    });
    site.sandbox.only(&[]);
    site.server.go_on();
    let agent = Agent::start(&site.sandbox);
    for name in ["one", "two"] {
        assert_eq!(agent.place(&site.request(name)).status, 200);
    }
}

fn one_agent(world: &World) {
    let site = Site::new(world, "");
    let mut agent = Agent::start(&site.sandbox);
    site.sandbox.landfall("agent").json().run().failure("exists", "agent-running", "request");
    assert_eq!(agent.place(&site.request("disk")).status, 200);
    // What a dead one left is in nobody's way.
    agent.kill();
    assert!(agent.socket.exists());
    let agent = Agent::start(&site.sandbox);
    assert_eq!(agent.place(&site.request("disk")).document["repeated"], true);
}

/// A service as systemd starts it: with the socket, and a place to send its state to.
struct Unit {
    child: Child,
    state: UnixDatagram,
}

impl Unit {
    fn start(site: &Site<'_>, name: &str, listener: &UnixListener, watchdog: bool) -> Self {
        let place = site.sandbox.home(name);
        let state = UnixDatagram::bind(&place).unwrap();
        state.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
        let landfall = &site.sandbox.world.install.landfall;
        // Descriptor 3 and the process number are what a shell can say of itself before it becomes the service.
        let script =
            format!("exec 3<&{}; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" --config \"$1\" agent", listener.as_raw_fd());
        let mut command = Command::new("/bin/bash");
        command.arg("-c").arg(script).arg(landfall).arg(site.config()).env("NOTIFY_SOCKET", &place);
        if watchdog {
            command.env("WATCHDOG_USEC", "600000");
        }
        nix::fcntl::fcntl(listener, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
        let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        nix::fcntl::fcntl(listener, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC)).unwrap();
        Self { child, state }
    }

    /// Waits until the service tells this.
    fn told(&self, wanted: &str) {
        let mut buffer = [0; 4096];
        loop {
            let count = self.state.recv(&mut buffer).unwrap_or_else(|error| panic!("{wanted} is not told: {error}"));
            let text = String::from_utf8_lossy(&buffer[..count]);
            if text.lines().any(|line| line.starts_with(wanted)) {
                return;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits until it has stopped; gives its exit status.
    fn end(mut self) -> Option<i32> {
        let mut log = String::new();
        let lines = BufReader::new(self.child.stderr.take().unwrap()).lines();
        lines.map_while(Result::ok).for_each(|line| log += &(line + "\n"));
        let status = self.child.wait().unwrap();
        assert!(!log.contains("panicked"), "{log}");
        status.code()
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn systemd(world: &World) {
    let site = Site::new(world, "");
    let socket = site.sandbox.home("activation.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let unit = Unit::start(&site, "notify", &listener, true);
    unit.told("READY=1");
    unit.told("WATCHDOG=1");
    let reply = ask(&socket, "POST", "/v0/place", Some(&site.request("disk"))).unwrap();
    assert_eq!(reply.status, 200, "{:#}", reply.document);
    unit.signal(Signal::SIGHUP);
    unit.told("RELOADING=1");
    unit.told("READY=1");
    unit.signal(Signal::SIGTERM);
    unit.told("STOPPING=1");
    // The socket is systemd's: it stays.
    assert!(socket.exists());
}

/// Sixty-four callers, one service that is stopped while it works, and the next one on the same socket: each caller is
/// served, whatever it was told on the way.
fn upgrade(world: &World) {
    let site = Site::new(world, "stop = \"0s\"\nqueue = 1000");
    let socket = site.sandbox.home("activation.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let first = Unit::start(&site, "notify-first", &listener, false);
    first.told("READY=1");
    site.server.hold_after(1 << 20);
    let client = Agent::at(&socket);
    let callers: Vec<_> = (0..64)
        .map(|number| {
            let request = site.request(&format!("disk-{number:02}")).to_string();
            // Twice: no caller hears of more than one failure.
            client.caller(&site.sandbox, None, "place", &request, 2)
        })
        .collect();
    client.until("all are there", || client.metric("landfall_jobs_running") == 64);
    first.signal(Signal::SIGHUP);
    first.told("READY=1");
    first.signal(Signal::SIGTERM);
    first.told("STOPPING=1");
    let second = Unit::start(&site, "notify-second", &listener, false);
    assert_eq!(first.end(), Some(0));
    second.told("READY=1");
    site.server.go_on();
    for (number, caller) in callers.into_iter().enumerate() {
        let answer = caller.finish();
        assert_eq!(answer["ok"], true, "caller {number}: {answer:#}");
        assert_eq!(IMAGE.fault_of(&site.sandbox.out(&format!("disk-{number:02}"))), None);
    }
    second.signal(Signal::SIGTERM);
    assert_eq!(second.end(), Some(0));
}

fn command_line(world: &World) {
    let site = Site::new(world, "linger = \"0s\"");
    let agent = Agent::start(&site.sandbox);
    let placed = site.sandbox.place("image", "disk").run();
    let report = placed.success();
    assert!(report["job"].is_string(), "{report:#}");
    assert_eq!(IMAGE.fault_of(&site.sandbox.out("disk")), None);
    // Without it, it is done here, by the same ledger.
    let alone = site.sandbox.place("image", "alone").arg("--no-agent").run();
    assert!(alone.success().get("job").is_none());
    assert_eq!(site.sandbox.placements(), [site.sandbox.out("alone"), site.sandbox.out("disk")]);
    site.sandbox.place("image", "disk").arg("--size").arg("8MiB").run().failure("exists", "exists", "request");
    site.sandbox.place("none", "other").run().failure("not-found", "image", "request");
    let plan = site.sandbox.plan("image", "planned").run();
    assert_eq!(plan.success()["decision"]["image"], "image");
    // Records and files that the calling person names.
    let source = site.sandbox.home("own.raw");
    crate::support::disk::noisy_file(&source, 1 << 20, 8);
    let record = site.sandbox.record_of_file(&source);
    site.sandbox.place(&record, "from-record").run().success();
    site.sandbox.place(&source, "from-file").arg("--disk-format").arg("raw").arg("--allow-unhashed").run().success();
    let moved = site.sandbox.landfall("move").arg(site.sandbox.out("disk")).arg(site.sandbox.out("moved")).json().run();
    assert_eq!(moved.success()["to"], json!(site.sandbox.out("moved")));
    site.sandbox.landfall("remove").arg(site.sandbox.out("moved")).json().run().success();
    let history = site.sandbox.landfall("history").json().run();
    assert_eq!(history.success()["entries"][0]["deed"], "remove");
    // What is shown to people is shown too.
    let text = site.sandbox.landfall("place").arg("image").arg("--to").arg(site.sandbox.out("text")).run();
    assert!(text.stdout.contains("through the agent"), "{}", text.stdout);
    // A signal gives the call up.
    agent.until("nothing runs", || agent.metric("landfall_jobs_running") == 0);
    site.server.hold_after(0);
    let running = site.sandbox.place("image", "slow").spawn();
    agent.until("it is being moved", || agent.metric("landfall_jobs_running") == 1);
    running.signal(Signal::SIGTERM);
    running.finish().failure("cancelled", "cancelled", "request");
    assert_eq!(agent.metric("landfall_jobs_running"), 0);
    site.server.go_on();
}

fn logs(world: &World) {
    let site = Site::new(world, "log = \"json\"");
    let agent = Agent::start(&site.sandbox);
    let job = agent.place(&site.request("disk")).document["job"].as_str().unwrap().to_owned();
    let line = agent.line(|line| line.contains("\"placed\"")).expect("it is logged");
    let document: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&document["span"]["job"], &document["span"]["name"]),
        (&json!(job), &json!("placement")),
        "{document:#}"
    );
    // A planted secret in a URL, a token, and a failure that speaks of them.
    let url = format!("http://user:CANARY-PASSWORD@{}/x?sig=CANARY-SIGNATURE", site.server.authority());
    let images = [
        json!({ "url": url, "hash": format!("sha256:{}", "0".repeat(64)) }),
        json!({ "id": "none", "token": "CANARY-TOKEN" }),
    ];
    for image in images {
        let reply = agent.place(&json!({ "image": image, "to": site.sandbox.out("secret") }));
        assert!(reply.status >= 400 && !reply.document.to_string().contains("CANARY"), "{:#}", reply.document);
        let line = agent.line(|line| line.contains("not placed")).expect("it is logged");
        assert!(!line.contains("CANARY"), "{line}");
        serde_json::from_str::<Value>(&line).unwrap();
    }
    for path in ["/v0/jobs", "/v0/history", "/v0/placements"] {
        assert!(!agent.ask("GET", path, None).document.to_string().contains("CANARY"), "{path}");
    }
}

//! The search finds a canary in each place that it is to search; without this, a search that finds nothing proves nothing.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::canary::base64;
use crate::support::needs::find_program;
use crate::support::nginx::Site;
use crate::support::world::World;

use super::aviary::{Aviary, PLANTED, private};
use super::processes::{COREDUMPS, cores_are_files};

pub(super) fn all(world: &World) {
    let aviary = Aviary::new(world);
    text(&aviary);
    files(&aviary);
    processes(&aviary);
    servers(&aviary);
    cores(&aviary);
}

fn text(aviary: &Aviary<'_>) {
    assert_eq!(aviary.search.held(b"nothing of interest"), [""; 0]);
    for name in PLANTED {
        let canary = aviary.canary(name);
        let secret = canary.text();
        let all_quoted: String = secret.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let encoded = |text: String| String::from_utf8(base64(text.as_bytes())).unwrap();
        let forms = [
            secret.clone(),
            canary.quoted(),
            all_quoted,
            secret[..12].to_owned(),
            secret[13..].to_owned(),
            encoded(format!("user:{secret}")),
            encoded(format!("a:{secret}")),
            encoded(format!("me:{secret}:x")),
            encoded(secret.clone()),
        ];
        for form in forms {
            assert_eq!(aviary.search.held(format!("in {form}, so").as_bytes()), [name], "{form}");
        }
    }
    // And what is only alike is no secret.
    let key = fs::read_to_string(aviary.certificates.file("client.key")).unwrap();
    assert_eq!(aviary.search.held(key.as_bytes()), ["client key"]);
    let other = fs::read_to_string(aviary.certificates.file("good.key")).unwrap();
    assert_eq!(aviary.search.held(other.as_bytes()), [""; 0]);
}

fn files(aviary: &Aviary<'_>) {
    let secret = aviary.canary("password").text();
    let state = aviary.sandbox.home("state");
    fs::create_dir_all(state.join("deep")).unwrap();
    aviary.assert_files_clean("before");
    let places = [
        (state.join("deep/ledger"), true),
        (aviary.sandbox.out(".landfall-stage-1"), true),
        (aviary.sandbox.home("anywhere"), false),
    ];
    for (place, however) in places {
        fs::write(&place, format!("\0\u{1}{secret}\0")).unwrap();
        assert_eq!(aviary.dirty_files(), [(place.clone(), "password")]);
        private(&place);
        assert_eq!(aviary.dirty_files().len(), usize::from(however), "{}", place.display());
        fs::remove_file(&place).unwrap();
    }
    aviary.assert_files_clean("afterwards");
}

/// A process from the product's directory, until it is dropped.
struct Sleeper(Child);

impl Sleeper {
    fn start(aviary: &Aviary<'_>, name: &str, environment: &str) -> Self {
        let program = aviary.bin().join("sleep");
        if !program.exists() {
            fs::copy(find_program("sleep").expect("there is sleep"), &program).unwrap();
        }
        let mut command = Command::new(program);
        command.arg0(name).arg("1000").env("PLANTED", environment).stdin(Stdio::null());
        Self(command.spawn().unwrap())
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.0.id()).unwrap())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn processes(aviary: &Aviary<'_>) {
    let secret = aviary.canary("X-Amz-Signature").text();
    for (name, environment, place) in [(secret.as_str(), "", "cmdline"), ("sleep", secret.as_str(), "environ")] {
        let sleeper = Sleeper::start(aviary, name, environment);
        // Until it has become the program, it is still a copy of ours.
        while aviary.processes().is_empty() {
            std::thread::yield_now();
        }
        assert_eq!(aviary.dirty_processes(), [(sleeper.pid(), place, "X-Amz-Signature")]);
    }
    assert_eq!(aviary.processes(), []);
}

/// A server's log has whatever a client gives away.
fn servers(aviary: &Aviary<'_>) {
    let secret = aviary.canary("password").text();
    let mut server = aviary.server("control", Site::new());
    let encoded = String::from_utf8(base64(format!("user:{secret}").as_bytes())).unwrap();
    for (line, header) in [
        (format!("GET /disk.raw?{secret} HTTP/1.0"), String::new()),
        ("HEAD / HTTP/1.0".to_owned(), format!("Authorization: Basic {encoded}\r\n")),
        ("HEAD / HTTP/1.0".to_owned(), format!("Cookie: {secret}\r\n")),
        ("HEAD / HTTP/1.0".to_owned(), format!("Proxy-Authorization: Basic {encoded}\r\n")),
        ("HEAD / HTTP/1.0".to_owned(), format!("Referer: http://{secret}/\r\n")),
        ("HEAD /innocent HTTP/1.0".to_owned(), String::new()),
    ] {
        let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
        std::io::Write::write_all(&mut stream, format!("{line}\r\n{header}\r\n").as_bytes()).unwrap();
        std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
    }
    let log = server.finish();
    let found: Vec<usize> =
        log.requests().iter().map(|request| aviary.search.held(request.text.as_bytes()).len()).collect();
    assert_eq!(found, [1, 1, 1, 1, 1, 0]);
}

/// Where cores are files, a process that has the secret and may leave one does.
fn cores(aviary: &Aviary<'_>) {
    if !cores_are_files() {
        return;
    }
    let directory = aviary.sandbox.home("cores");
    fs::create_dir(&directory).unwrap();
    let secret = aviary.canary("password").text();
    let mut command = Command::new(find_program(COREDUMPS[0]).unwrap());
    command.args(&COREDUMPS[1..]).args(["sleep", "1000"]).env("PLANTED", &secret).current_dir(&directory);
    let mut child = command.spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let is_sleep = || fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "sleep");
    while !is_sleep() {
        std::thread::yield_now();
    }
    kill(pid, Signal::SIGSEGV).unwrap();
    child.wait().unwrap();
    let left = names(&directory);
    assert_eq!(left.len(), 1, "a core: {left:?}");
    assert_eq!(aviary.search.held(&fs::read(directory.join(&left[0])).unwrap()), ["password"]);
}

fn names(directory: &Path) -> Vec<String> {
    crate::support::left_over::names(directory)
}

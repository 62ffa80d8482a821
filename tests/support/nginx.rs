//! A real nginx for one test: in the foreground, on ports of the loopback that nobody else has, and gone with the test.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::access_log::AccessLog;
use super::needs::{Need, find_program};
use super::sandbox::Sandbox;

/// What a test needs that starts one.
pub(crate) const NEEDS: [Need; 3] = [Need::Program("nginx"), Need::Program("setpriv"), Need::Program("openssl")];

/// Longer than a start or an end takes on a busy machine.
const BOUND: Duration = Duration::from_secs(60);
/// Below the ports that the kernel gives to those who ask for none.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// What a server serves, and how.
#[derive(Default, Clone)]
pub(crate) struct Site {
    places: String,
    tls: Vec<(&'static str, String)>,
}

impl Site {
    /// The files of the root at `/`, and nothing else.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The files of the root beneath this prefix too, with these directives. There are the zones `connections`, by address,
    /// and `requests`, four a second.
    pub(crate) fn place(mut self, prefix: &str, directives: &str) -> Self {
        self.places += &format!("    location {prefix} {{ alias ROOT/; {directives} }}\n");
        self
    }

    /// The same on one more port, by TLS, with these directives.
    pub(crate) fn tls(mut self, name: &'static str, directives: String) -> Self {
        self.tls.push((name, directives));
        self
    }
}

/// A server. Ended when dropped.
pub(crate) struct Nginx {
    dir: PathBuf,
    site: Site,
    ports: Vec<u16>,
    master: Option<Child>,
}

impl Nginx {
    /// Starts one whose files are in a directory of this name in the sandbox's home, which others cannot enter.
    pub(crate) fn start(sandbox: &Sandbox<'_>, name: &str, site: Site) -> Self {
        let dir = sandbox.home(name);
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        fs::create_dir(dir.join("root")).unwrap();
        let mut server = Self { dir, site, ports: Vec::new(), master: None };
        // Somebody may take a port between our look and the start.
        let begun = (0..5).any(|_| {
            server.ports = (0..=server.site.tls.len()).map(|_| free_port()).collect();
            server.begin()
        });
        assert!(begun, "{}", server.complaints());
        server
    }

    /// Starts it again where it was, after [`Self::kill`], with the same files and perhaps another manner.
    pub(crate) fn start_again(&mut self, site: Site) {
        assert_eq!(site.tls.len(), self.site.tls.len(), "the ports stay");
        self.site = site;
        assert!(self.begin(), "{}", self.complaints());
    }

    /// Whether it came up.
    fn begin(&mut self) -> bool {
        assert!(self.master.is_none(), "it runs already");
        let (config, pid) = (self.dir.join("nginx.conf"), self.dir.join("pid"));
        fs::write(&config, self.config()).unwrap();
        let _ = fs::remove_file(&pid);
        let output = File::options().create(true).append(true).open(self.dir.join("output")).unwrap();
        let program = |name| find_program(name).unwrap_or_else(|| panic!("{name} is installed"));
        let mut master = Command::new(program("setpriv"))
            // A killed run leaves no server behind: the master ends its workers at this signal.
            .args(["--pdeathsig", "TERM"])
            .arg(program("nginx"))
            .arg("-p")
            .arg(&self.dir)
            .arg("-c")
            .arg(&config)
            .arg("-e")
            .arg(self.dir.join("errors"))
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .expect("run nginx");
        // The file is written once all ports are listened to.
        let up = eventually("nginx to start", || {
            let failed = master.try_wait().unwrap().is_some();
            let written = fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'));
            (failed || written).then_some(!failed)
        });
        if up {
            self.master = Some(master);
        }
        up
    }

    fn config(&self) -> String {
        let dir = self.dir.display();
        let root = format!("{dir}/root");
        let places = self.site.places.replace("ROOT", &root);
        let user = if nix::unistd::geteuid().is_root() { "user root;\n" } else { "" };
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("  {kind}_temp_path {dir}/{kind};\n"))
            .concat();
        let plain = [("plain", String::new())];
        let servers = plain.iter().chain(&self.site.tls).zip(&self.ports).map(|((name, directives), port)| {
            let ssl = if *name == "plain" { "" } else { " ssl" };
            // What is on its way to a client that has gone away is little then.
            format!("  server {{\n    listen 127.0.0.1:{port}{ssl} sndbuf=128k;\n    root {root};\n    {directives}\n{places}  }}\n")
        });
        format!(
            "{user}daemon off;\nmaster_process on;\nworker_processes 1;\npid {dir}/pid;\n\
             events {{ worker_connections 512; }}\nhttp {{\n{temporary}  log_format seen escape=json {};\n  \
             access_log {dir}/access seen;\n  sendfile on;\n  default_type application/octet-stream;\n  \
             limit_conn_zone $binary_remote_addr zone=connections:1m;\n  \
             limit_req_zone $binary_remote_addr zone=requests:1m rate=4r/s;\n{}}}\n",
            AccessLog::FORMAT,
            servers.collect::<String>(),
        )
    }

    /// Where a file that it serves lies.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join("root").join(name)
    }

    /// Its directory, with everything that it writes.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// `HOST:PORT` of the server without TLS.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0])
    }

    /// A URL of the server without TLS.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// A URL of the server with TLS of this name.
    pub(crate) fn tls_url(&self, name: &str, path: &str) -> String {
        let number =
            self.site.tls.iter().position(|(its, _)| *its == name).unwrap_or_else(|| panic!("no server {name}"));
        format!("https://127.0.0.1:{}{path}", self.ports[number + 1])
    }

    /// Ends it at once, in the middle of whatever it does; what it was doing is not in its log.
    pub(crate) fn kill(&mut self) {
        let Some(mut master) = self.master.take() else { return };
        let workers = children(&master);
        // The master first, or it would start another worker.
        master.kill().unwrap();
        master.wait().unwrap();
        for worker in workers {
            // It may have ended by itself.
            let _ = kill(worker, Signal::SIGKILL);
            eventually("a worker of nginx to end", || has_ended(worker).then_some(()));
        }
    }

    /// Lets it finish what it does, ends it, and gives what it served since it was first started. Everything that clients
    /// have done is in it.
    pub(crate) fn finish(&mut self) -> AccessLog {
        if let Some(mut master) = self.master.take() {
            kill(pid_of(&master), Signal::SIGQUIT).unwrap();
            eventually("nginx to end", || master.try_wait().unwrap());
        }
        self.so_far()
    }

    /// What it has finished to serve.
    pub(crate) fn so_far(&self) -> AccessLog {
        let text = fs::read_to_string(self.dir.join("access")).unwrap();
        AccessLog::parse(&text[..text.rfind('\n').map_or(0, |end| end + 1)])
    }

    /// What it complained of.
    fn complaints(&self) -> String {
        let read = |name| fs::read_to_string(self.dir.join(name)).unwrap_or_default();
        format!("nginx does not start:\n{}{}", read("output"), read("errors"))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until there is something to give.
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + BOUND;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited {} s for {what}", BOUND.as_secs());
        thread::sleep(Duration::from_millis(2));
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

fn children(of: &Child) -> Vec<Pid> {
    let list = format!("/proc/{0}/task/{0}/children", of.id());
    let text = fs::read_to_string(list).unwrap_or_default();
    text.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
}

/// Whether the process is gone, or dead and only not yet waited for by whoever took it over.
fn has_ended(process: Pid) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

/// A port that nobody listens on, another one each time.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let range = PORTS.end - PORTS.start;
    // Not where another run looks.
    let first = std::process::id().wrapping_mul(97) % u32::from(range);
    loop {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + u16::try_from((first + step) % u32::from(range)).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

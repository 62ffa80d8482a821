//! Where canaries are kept: a sandbox with a copy of the product, whose processes can be told from all others, and the means
//! to search everything that it leaves.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;
use serde_json::Value;

use crate::support::answer::Answer;
use crate::support::canary::{Canary, Search};
use crate::support::certificates::Certificates;
use crate::support::command::{Landfall, Running};
use crate::support::left_over;
use crate::support::mounts::Fs;
use crate::support::nginx::{Nginx, Site};
use crate::support::sandbox::Sandbox;
use crate::support::seeded::Content;
use crate::support::world::World;

pub(super) const IMAGE: Content = Content::new((3 << 20) + 99, 41);
/// Gives a part of the file to each request, and the rest to nobody who waits. Several downloads that go on from each other
/// do not get it all.
pub(super) const HELD: &str = "limit_rate_after 320k; limit_rate 8k;";

/// The secrets, by where they are planted.
pub(super) const PLANTED: [&str; 6] =
    ["password", "temp_url_sig", "X-Amz-Signature", "fragment", "proxy password", "redirect signature"];

pub(super) struct Aviary<'w> {
    pub(super) sandbox: Sandbox<'w>,
    canaries: Vec<Canary>,
    pub(super) search: Search,
    pub(super) certificates: Certificates,
    bin: PathBuf,
}

impl<'w> Aviary<'w> {
    pub(super) fn new(world: &'w World) -> Self {
        let sandbox = Sandbox::on(world, Fs::Temp);
        // Not where files are searched that the product wrote.
        let bin = sandbox.store("bin");
        fs::create_dir(&bin).unwrap();
        for file in fs::read_dir(world.install.landfall.parent().unwrap()).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), bin.join(file.file_name())).unwrap();
        }
        let mut canaries: Vec<Canary> = PLANTED.into_iter().map(Canary::new).collect();
        let certificates = Certificates::make(&sandbox);
        // The key that openssl made is a secret of its own: a line of it stands for the whole.
        canaries.push(Canary::of_key(&fs::read_to_string(certificates.file("client.key")).unwrap()));
        let search = Search::new(&canaries);
        let aviary = Self { sandbox, canaries, search, certificates, bin };
        aviary.configure("", "");
        aviary
    }

    /// Writes the configuration, which others can read: nothing of it may be a secret, but for what `handler` says. Then it is
    /// the owner's alone.
    pub(super) fn configure(&self, handler: &str, tables: &str) {
        let file = |name: &str| self.certificates.file(name);
        let section = format!(
            "[limits]\ngrace = \"500ms\"\nresume_bytes = \"1MiB\"\nconnections_per_origin = 2\nbench = \"0s\"\n{tables}\n\
             [handler.http]\nallow_addresses = [\"loopback\"]\nca_file = {:?}\nclient_certificate_file = {:?}\n\
             client_key_file = {:?}\n{handler}\n",
            file("ca.pem"),
            file("client.pem"),
            file("client.key")
        );
        self.sandbox.configure("", &section);
        private(&self.sandbox.home("landfall.toml"));
    }

    pub(super) fn canary(&self, name: &str) -> &Canary {
        self.canaries.iter().find(|canary| canary.name == name).unwrap_or_else(|| panic!("no canary {name}"))
    }

    /// A server that has the image as `disk.raw`.
    pub(super) fn server(&self, name: &str, site: Site) -> Nginx {
        let server = Nginx::start(&self.sandbox, name, site);
        fs::write(server.file("disk.raw"), IMAGE.bytes()).unwrap();
        server
    }

    /// The URL with a secret wherever a URL can have one.
    pub(super) fn secret(&self, url: &str) -> String {
        let [password, swift, amazon, fragment] =
            ["password", "temp_url_sig", "X-Amz-Signature", "fragment"].map(|name| self.canary(name).quoted());
        let (scheme, rest) = url.split_once("://").unwrap();
        format!("{scheme}://user:{password}@{rest}?temp_url_sig={swift}&X-Amz-Signature={amazon}#{fragment}")
    }

    /// A record of the image with this location, which only its owner can read.
    pub(super) fn record(&self, url: &str) -> PathBuf {
        self.keep(&IMAGE.record(&[url.to_owned()]))
    }

    pub(super) fn keep(&self, record: &Value) -> PathBuf {
        let path = self.sandbox.record("image.json", record);
        private(&path);
        path
    }

    pub(super) fn landfall(&self, command: &str) -> Landfall {
        Landfall::new(&self.bin.join("landfall")).arg(command).arg("--config").arg(self.sandbox.home("landfall.toml"))
    }

    pub(super) fn place(&self, image: impl AsRef<std::ffi::OsStr>) -> Landfall {
        let target = self.sandbox.out("disk");
        self.landfall("place").arg(image).arg("--to").arg(target).args(["--progress", "json"]).json()
    }

    /// Starts a placement and waits until some of its bytes have arrived.
    pub(super) fn halfway(&self, command: Landfall) -> Running {
        let running = command.spawn();
        running.line(|line| line.contains("\"bytes\"") && !line.contains("\"done\":0,")).expect("a part arrives");
        running
    }

    /// The processes of this product's copy: agents and workers, with their command lines.
    pub(super) fn processes(&self) -> Vec<(Pid, String)> {
        left_over::processes(&self.bin)
    }

    pub(super) fn bin(&self) -> &Path {
        &self.bin
    }

    /// Runs a command in every way that it shows things, and searches what it prints and what it leaves.
    #[track_caller]
    pub(super) fn run_all_ways(&self, what: &str, image: &Path) -> Vec<Answer> {
        let target = self.sandbox.out("disk");
        let with = |command: &str, options: &[&str]| {
            self.landfall(command).arg(image).arg("--to").arg(&target).args(options).for_terminal()
        };
        let commands = [
            with("plan", &[]),
            with("plan", &["--json"]),
            with("place", &["--progress", "json", "--json"]),
            with("place", &["--progress", "bar"]),
        ];
        let answers = commands.map(|command| {
            let answer = command.run();
            self.assert_clean(what, &answer);
            // The next one may find it in its way.
            let _ = fs::remove_file(&target);
            answer
        });
        answers.into()
    }

    /// Everything that can be asked for without doing anything.
    #[track_caller]
    pub(super) fn ask_everything(&self) {
        for words in [&["history"][..], &["placements"], &["handlers"], &["config", "show"], &["config", "check"]] {
            for options in [&[][..], &["--json"]] {
                let answer = self.landfall(words[0]).args(&words[1..]).args(options).run();
                assert!(answer.status == 0 || options.len() == 1, "{answer:#?}");
                self.assert_clean(words[0], &answer);
            }
        }
        self.assert_files_clean("afterwards");
    }

    #[track_caller]
    pub(super) fn assert_clean(&self, what: &str, answer: &Answer) {
        let found = self.search.held(answer.text().as_bytes());
        assert_eq!(found, [""; 0], "{what}: printed: {answer:#?}");
        self.assert_files_clean(what);
    }

    /// Nothing in the state, nothing beside the targets, nothing that others can read.
    #[track_caller]
    pub(super) fn assert_files_clean(&self, what: &str) {
        assert_eq!(self.dirty_files(), [], "{what}");
    }

    pub(super) fn dirty_files(&self) -> Vec<(PathBuf, &'static str)> {
        let state = self.sandbox.home("state");
        let mut found = if state.exists() { self.search.files(&state, false) } else { Vec::new() };
        found.extend(self.search.files(self.sandbox.out_dir(), false));
        found.extend(self.search.files(&self.sandbox.home(""), true));
        found.sort();
        found.dedup();
        found
    }

    /// Which processes have a canary in their arguments or their environment.
    pub(super) fn dirty_processes(&self) -> Vec<(Pid, &'static str, &'static str)> {
        let mut found = Vec::new();
        for (process, _) in self.processes() {
            for place in ["cmdline", "environ"] {
                let bytes = fs::read(format!("/proc/{process}/{place}")).unwrap_or_default();
                found.extend(self.search.held(&bytes).into_iter().map(|name| (process, place, name)));
            }
        }
        found
    }
}

/// Lets nobody but the owner read the file.
pub(super) fn private(file: &Path) {
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

//! Where the villain is let loose: a sandbox with a binary of its own, whose processes can be told from all others.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::unistd::Pid;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::c_plugin::{PluginDir, Product, compile};
use crate::support::command::{Landfall, Running};
use crate::support::left_over;
use crate::support::mounts::Fs;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

/// Bytes of the images.
pub(super) const SIZE: u64 = 1 << 20;

/// What is unpacked; the villain reads it and does not care.
const PACKED: &[u8] = &[b'p'; 6000];

/// Where a deed is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Create,
    Status,
    Probe,
    Open,
    Read,
    Transfer,
    Unpack,
    /// The probe of the unpacker.
    UnpackProbe,
}

impl Place {
    pub(super) const ALL: [Self; 8] = [
        Self::Create,
        Self::Status,
        Self::Probe,
        Self::Open,
        Self::Read,
        Self::Transfer,
        Self::Unpack,
        Self::UnpackProbe,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Status => "status",
            Self::Probe => "probe",
            Self::Open => "open",
            Self::Read => "read",
            Self::Transfer => "transfer",
            Self::Unpack => "unpack",
            Self::UnpackProbe => "unpack_probe",
        }
    }

    /// As the villain calls it.
    fn word(self) -> &'static str {
        if self == Self::UnpackProbe { "probe" } else { self.name() }
    }

    pub(super) fn is_unpacking(self) -> bool {
        matches!(self, Self::Unpack | Self::UnpackProbe)
    }
}

/// In which places the villain knows a deed.
#[derive(Clone, Copy)]
pub(super) enum Where {
    Anywhere,
    /// Where bytes go.
    Bytes,
    /// Where there is an output.
    Writes,
}

impl Where {
    pub(super) fn has(self, place: Place) -> bool {
        match self {
            Self::Anywhere => true,
            Self::Bytes => matches!(place, Place::Read | Place::Transfer | Place::Unpack),
            Self::Writes => matches!(place, Place::Transfer | Place::Unpack),
        }
    }
}

/// All that the villain does.
pub(super) const DEEDS: [(&str, Where); 28] = [
    ("segv", Where::Anywhere),
    ("abort", Where::Anywhere),
    ("stack-overflow", Where::Anywhere),
    ("exit", Where::Anywhere),
    ("exit0", Where::Anywhere),
    ("raise-kill", Where::Anywhere),
    ("stop", Where::Anywhere),
    ("spin", Where::Anywhere),
    ("sleep", Where::Anywhere),
    ("eat-memory", Where::Anywhere),
    ("leak-fds", Where::Anywhere),
    ("leak-threads", Where::Anywhere),
    ("fork", Where::Anywhere),
    ("fork-crash", Where::Anywhere),
    ("close-all", Where::Anywhere),
    ("garbage", Where::Anywhere),
    ("huge", Where::Anywhere),
    ("log-flood", Where::Anywhere),
    ("message-long", Where::Anywhere),
    ("error-as-success", Where::Anywhere),
    ("fine", Where::Anywhere),
    ("scribble", Where::Bytes),
    ("claim", Where::Bytes),
    ("wrong-size", Where::Bytes),
    ("beyond", Where::Writes),
    ("adopt-odd", Where::Writes),
    ("twice", Where::Writes),
    ("no-finish", Where::Writes),
];

/// The configuration of one command.
pub(super) struct Settings {
    pub(super) isolation: &'static str,
    pub(super) stall: &'static str,
    pub(super) cpu: &'static str,
    pub(super) bench: &'static str,
    /// Whether an honest handler may follow where the villain was.
    pub(super) honest: bool,
    /// The villain's own section.
    pub(super) deed: Option<(&'static str, Place)>,
}

impl Settings {
    /// Bounds that nobody meets who is only slow.
    pub(super) fn calm() -> Self {
        Self { isolation: "worker", stall: "60s", cpu: "60s", bench: "0s", honest: true, deed: None }
    }

    /// Bounds for this deed: what never ends by itself meets one soon.
    pub(super) fn of(deed: &str) -> Self {
        match deed {
            "spin" => Self { cpu: "1s", ..Self::calm() },
            deed if is_endless(deed) => Self { stall: "3s", ..Self::calm() },
            _ => Self::calm(),
        }
    }
}

/// Whether nothing but its silence ends the deed. After `close-all` an operation may wait for what cannot come any more.
pub(super) fn is_endless(deed: &str) -> bool {
    ["sleep", "stop", "close-all"].contains(&deed)
}

/// A sandbox with the villain's plugin, an honest unpacker, and a copy of the product.
pub(super) struct Lab<'w> {
    pub(super) sandbox: Sandbox<'w>,
    binary: PathBuf,
}

impl<'w> Lab<'w> {
    pub(super) fn new(world: &'w World) -> Self {
        let sandbox = Sandbox::on(world, Fs::Temp);
        let bin = sandbox.home("bin");
        fs::create_dir(&bin).unwrap();
        for file in [&world.install.landfall, &world.install.file_plugin] {
            fs::copy(file, bin.join(file.file_name().unwrap())).unwrap();
        }
        fs::write(sandbox.store("disk.raw"), content(SIZE)).unwrap();
        fs::write(sandbox.store("disk.packed"), PACKED).unwrap();
        Self { binary: bin.join("landfall"), sandbox }
    }

    /// Writes a configuration.
    pub(super) fn configure(&self, settings: &Settings) {
        let Settings { isolation, stall, cpu, bench, honest, deed } = settings;
        let honest = if *honest { ", \"honest-unpack\"" } else { "" };
        let top = format!(
            "plugin_dirs = [{:?}]\nisolation = {isolation:?}\n\
             handlers = [\"villain\", \"villain-transfer\", \"villain-unpack\"{honest}, \"file\"]\n",
            plugins(self.sandbox.world)
        );
        let limits = format!(
            "[limits]\ngrace = \"300ms\"\nstall = {stall:?}\nworker_cpu = {cpu:?}\nworker_memory = \"192MiB\"\n\
             bench = {bench:?}\n[handler.file]\nisolation = \"inline\"\n"
        );
        let section = deed.map_or(String::new(), |(deed, place)| {
            format!("[handler.villain]\nisolation = {isolation:?}\ndeed = {deed:?}\nat = {:?}\n", place.word())
        });
        self.sandbox.configure(&top, &format!("{limits}{section}"));
    }

    /// A command of the lab's own binary, with the configuration as it is now.
    pub(super) fn landfall(&self, command: &str) -> Landfall {
        // Commands run at the same time with different configurations.
        let config = self.sandbox.home("landfall.toml");
        let number = fs::read_dir(self.sandbox.home("")).unwrap().count();
        let copy = self.sandbox.home(&format!("{number}.toml"));
        fs::copy(config, &copy).unwrap();
        Landfall::new(&self.binary).arg(command).arg("--config").arg(copy)
    }

    /// A command that places this record.
    pub(super) fn place(&self, record: &Value, target: &str) -> Landfall {
        let path = self.sandbox.record(&format!("{target}.json"), record);
        self.landfall("place").arg(path).arg("--to").arg(self.sandbox.out(target)).json()
    }

    /// The record of the image that the villain brings if it does as it should, unless it does this deed in this place. With
    /// an honest location behind the villain's, if that is wanted; an unpacker's image has a single location.
    pub(super) fn record(&self, deed: &str, place: Place, honest: bool) -> Value {
        self.record_of_size(deed, place, honest, SIZE)
    }

    pub(super) fn record_of_size(&self, deed: &str, place: Place, honest: bool, size: u64) -> Value {
        let url = |name: &str| format!("file://{}", self.sandbox.store(name).display());
        if place.is_unpacking() {
            return json!({
                "id": "packed", "disk_format": "villainous", "container_format": "bare", "size": PACKED.len(),
                "os_hash_algo": "sha256", "os_hash_value": sha256(PACKED),
                "deed": format!("{deed}/{size}/at={}", place.word()), "locations": [{ "url": url("disk.packed") }],
            });
        }
        let scheme = if place == Place::Transfer { "villain-transfer" } else { "villain" };
        // What is configured happens by itself.
        let order = match place {
            Place::Create | Place::Status => format!("fine/{size}"),
            _ => format!("{deed}/{size}/at={}", place.word()),
        };
        let mut locations = vec![json!({ "url": format!("{scheme}://{order}") })];
        if honest {
            locations.push(json!({ "url": url("disk.raw") }));
        }
        json!({
            "id": "image", "disk_format": "raw", "container_format": "bare", "size": size, "os_hash_algo": "sha256",
            "os_hash_value": sha256(&content(size)), "locations": locations,
        })
    }

    /// The processes that run the lab's binary, agents, workers, and what those forked, with their command lines.
    pub(super) fn processes(&self) -> Vec<(Pid, String)> {
        left_over::processes(self.binary.parent().unwrap())
    }

    /// Waits until the villain has stopped its worker (the deed `stop`); gives that process.
    pub(super) fn until_stopped(&self, running: &Running) -> Pid {
        let is_stopped = |&(process, _): &(Pid, String)| {
            // The name before the state is the program's own, in parentheses.
            fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| stat.contains(") T "))
        };
        let stopped = || self.processes().into_iter().find(is_stopped);
        running.until("for a worker that is stopped", || stopped().is_some());
        stopped().expect("it stays stopped").0
    }

    /// Fails unless nothing runs any more, and the directory of targets holds these names alone.
    #[track_caller]
    pub(super) fn assert_left(&self, names: &[&str]) {
        assert_eq!(self.processes(), [], "processes are left");
        self.sandbox.only(names);
    }

    /// Whether the target has the image's bytes, and no others. Removes it.
    pub(super) fn take(&self, target: &str, size: u64) -> bool {
        let path = self.sandbox.out(target);
        let exact = fs::read(&path).is_ok_and(|bytes| bytes == content(size));
        let _ = fs::remove_file(path);
        exact
    }
}

/// The directory of the plugins, made once for all labs.
fn plugins(world: &World) -> &'static Path {
    static PLUGINS: OnceLock<PathBuf> = OnceLock::new();
    PLUGINS.get_or_init(|| {
        let sandbox = Sandbox::on(world, Fs::Temp);
        let made = PluginDir::new(&sandbox, "made");
        villain(world, made.path());
        made.add(world, "honest.so", "tests/plugins/honest.c", &[]);
        let kept = world.mounts.run_dir().join("villain");
        fs::create_dir(&kept).unwrap();
        for name in ["villain.so", "honest.so"] {
            fs::copy(made.path().join(name), kept.join(name)).unwrap();
        }
        kept
    })
}

/// Compiles the villain into a directory.
pub(super) fn villain(world: &World, directory: &Path) -> PathBuf {
    let file = directory.join("villain.so");
    compile(world, "tests/plugins/villain.c", &file, Product::Library, &[]);
    file
}

/// The content of seeded.c with SEED 1.
pub(super) fn content(size: u64) -> Vec<u8> {
    let mut state = 1_u64;
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < size {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bytes.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    bytes.truncate(usize::try_from(size).unwrap());
    bytes
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

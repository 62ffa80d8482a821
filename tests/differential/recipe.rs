//! What a seed chooses: a disk, how it is stored, and how it is reached. Pure; the same for ever.

/// How a part of a disk is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Filling {
    Noise,
    /// What deflates well.
    Text,
    /// Bytes that are written, and are nothing.
    Zeros,
    /// One byte, over and over.
    Ones,
}

/// A part of a disk. A later one lies over an earlier one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) filling: Filling,
    pub(crate) seed: u64,
}

/// The form of a disk in its file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    Raw,
    /// By `qemu-img convert -O vmdk -o OPTIONS -S SPARSE`.
    Vmdk {
        options: String,
        sparse: &'static str,
    },
}

/// What the file with the disk lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Container {
    Bare,
    Ova {
        manifest: Manifest,
        /// The digests of the manifest.
        algorithm: &'static str,
        /// Of `tar`.
        format: &'static str,
        /// The descriptor after the disk: the archive cannot be read front to back.
        descriptor_last: bool,
        /// What the node wants of a manifest.
        setting: &'static str,
    },
}

/// Where the manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Manifest {
    First,
    Second,
    Last,
    Missing,
}

/// How the whole is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Compression {
    /// As a record says it.
    pub(crate) name: &'static str,
    /// What the program is told.
    pub(crate) args: &'static [&'static str],
    /// Parts that are compressed one by one and stand behind each other.
    pub(crate) parts: usize,
}

/// How the image is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// A file of a store.
    File,
    /// A source without a descriptor.
    Stream,
    /// A server.
    Http,
}

/// Everything that a seed chooses.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) seed: u64,
    pub(crate) sectors: u64,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) form: Form,
    pub(crate) container: Container,
    pub(crate) compression: Option<Compression>,
    pub(crate) way: Way,
    pub(crate) threads: u32,
}

const GRAIN: u64 = 64 << 10;
/// Sectors that one grain table speaks of.
const TABLE: u64 = 65_536;

pub(crate) const SUBFORMATS: [&str; 2] = ["streamOptimized", "monolithicSparse"];
/// Those that need other files.
pub(crate) const IN_SEVERAL_FILES: [&str; 3] = ["monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"];
const ADAPTERS: [&str; 5] = ["", ",adapter_type=ide", ",adapter_type=lsilogic", ",adapter_type=buslogic", LEGACY];
const LEGACY: &str = ",adapter_type=legacyESX";
const VERSIONS: [&str; 4] = ["", ",hwversion=4", ",hwversion=13", ",compat6=on"];
const GRAINS: [&str; 2] = ["", ",zeroed_grain=on"];
/// The shortest run of zeros that `qemu-img` leaves out; with 0 it leaves out none.
const SPARSE: [&str; 3] = ["4k", "64k", "0"];
pub(crate) const TAR_FORMATS: [&str; 3] = ["ustar", "gnu", "pax"];
pub(crate) const THREADS: [u32; 3] = [1, 2, 8];
pub(crate) const WAYS: [Way; 3] = [Way::File, Way::Stream, Way::Http];
const MANIFESTS: [Manifest; 4] = [Manifest::First, Manifest::Second, Manifest::Last, Manifest::Missing];
const FILLINGS: [Filling; 4] = [Filling::Noise, Filling::Text, Filling::Zeros, Filling::Ones];

/// All that compressors are asked for.
pub(crate) const COMPRESSIONS: [Compression; 15] = [
    compression("gzip", &["-1"], 1),
    compression("gzip", &["-9"], 1),
    compression("gzip", &[], 3),
    compression("zstd", &["-1"], 1),
    compression("zstd", &["-9", "--no-check"], 1),
    compression("zstd", &["--long=27"], 1),
    compression("zstd", &["-3", "-T2"], 1),
    compression("zstd", &["-3"], 3),
    compression("xz", &["-0"], 1),
    compression("xz", &["-0", "-T2", "--block-size=262144"], 1),
    compression("xz", &["-1", "--check=sha256"], 2),
    compression("xz", &["-1", "--check=none"], 1),
    compression("bzip2", &["-1"], 1),
    compression("bzip2", &["-9"], 1),
    compression("bzip2", &["-1"], 2),
];

const fn compression(name: &'static str, args: &'static [&'static str], parts: usize) -> Compression {
    Compression { name, args, parts }
}

/// The seed of the disk that all shapes are made of: of an odd size, with data of each kind.
const SHAPED: u64 = 373;

/// A sequence of numbers that its seed determines. The mixing is that of SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[usize::try_from(self.below(list.len() as u64)).unwrap()].clone()
    }
}

impl Recipe {
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0xA076_1D64_78BD_642F) ^ 6);
        let sectors = match dice.below(6) {
            0 => dice.of(&[1, 2, 63, 127, 128, 129, 255, 300]),
            1 => GRAIN / 512 * (1 + dice.below(60)),
            2 | 3 => 2 + dice.below(12_000),
            // About where one grain table ends, and well into the next.
            4 => TABLE - 1 + dice.below(3),
            _ => TABLE + dice.below(TABLE + 100),
        };
        let pieces = (0..dice.below(9)).map(|_| piece(&mut dice, sectors * 512)).collect();
        let options = [dice.of(&ADAPTERS), dice.of(&VERSIONS), dice.of(&GRAINS)].concat();
        let options = format!("subformat={}{options}", dice.of(&SUBFORMATS));
        let form = if dice.one_in(5) { Form::Raw } else { Form::Vmdk { options, sparse: dice.of(&SPARSE) } };
        let container = if dice.one_in(2) { Container::Bare } else { ova(&mut dice) };
        let compression = (!dice.one_in(3)).then(|| dice.of(&COMPRESSIONS));
        Self { seed, sectors, pieces, form, container, compression, way: dice.of(&WAYS), threads: dice.of(&THREADS) }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.sectors * 512
    }
}

/// One image of each shape: every subformat in every container that has room for its files, and those of one file
/// compressed in every way. With `all`, whatever goes together.
pub(crate) fn shapes(all: bool) -> Vec<Recipe> {
    let archive = |manifest, format, descriptor_last| Container::Ova {
        manifest,
        algorithm: "SHA256",
        format,
        descriptor_last,
        setting: "enforce",
    };
    let containers = [
        Container::Bare,
        archive(Manifest::First, "gnu", false),
        archive(Manifest::Second, "pax", false),
        archive(Manifest::Last, "ustar", false),
        archive(Manifest::Missing, "ustar", false),
        archive(Manifest::Last, "ustar", true),
    ];
    let stored = |name| COMPRESSIONS.into_iter().find(|compression| compression.name == name);
    let mut shapes = Vec::new();
    let base = Recipe::of(SHAPED);
    for subformat in SUBFORMATS {
        let form = Form::Vmdk { options: format!("subformat={subformat}"), sparse: "64k" };
        for (number, container) in containers.into_iter().enumerate() {
            for name in ["none", "gzip", "zstd", "xz", "bzip2"] {
                // The first container is bare, the second an archive.
                if all || number < 2 || name == "none" {
                    let form = form.clone();
                    shapes.push(Recipe { form, container, compression: stored(name), ..base.clone() });
                }
            }
        }
    }
    // Its extents are members of the archive as well.
    for subformat in IN_SEVERAL_FILES {
        let form = Form::Vmdk { options: format!("subformat={subformat}"), sparse: "64k" };
        for (number, container) in containers.into_iter().enumerate().skip(1) {
            if all || matches!(number, 2 | 5) {
                shapes.push(Recipe { form: form.clone(), container, compression: None, ..base.clone() });
            }
        }
    }
    for container in &containers[..2] {
        for name in ["none", "gzip", "zstd", "xz", "bzip2"] {
            shapes.push(Recipe { form: Form::Raw, container: *container, compression: stored(name), ..base.clone() });
        }
    }
    shapes
}

fn piece(dice: &mut Dice, size: u64) -> Piece {
    // At the ends of grains and blocks, or anywhere.
    let unit = dice.of(&[1, 512, 4096, GRAIN]);
    let offset = dice.below(size) / unit * unit;
    let len = match dice.below(4) {
        0 => 1 + dice.below(600),
        1 => GRAIN * (1 + dice.below(3)),
        2 => 1 + dice.below(GRAIN),
        _ => 1 + dice.below(500_000),
    };
    Piece { offset, len: len.min(size - offset), filling: dice.of(&FILLINGS), seed: dice.next() }
}

fn ova(dice: &mut Dice) -> Container {
    let manifest = dice.of(&MANIFESTS);
    let setting = match manifest {
        Manifest::Missing => dice.of(&["enforce", "ignore"]),
        _ => dice.of(&["enforce", "require", "ignore"]),
    };
    Container::Ova {
        manifest,
        algorithm: dice.of(&crate::support::ova::ALGORITHMS),
        format: dice.of(&TAR_FORMATS),
        descriptor_last: dice.one_in(5),
        setting,
    }
}

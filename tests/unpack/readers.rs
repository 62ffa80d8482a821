//! Descriptors of split disks, changed by chance: what both qemu-img and we take is the same disk.

use std::fs;
use std::process::Command;

use serde_json::json;

use super::{Workshop, case};
use crate::support::case::Case;
use crate::support::disk::noise;
use crate::support::needs::find_program;
use crate::support::ova;
use crate::support::world::World;

pub(super) fn cases() -> Vec<Case> {
    vec![case("ova_descriptors_as_qemu_reads_them", changed), case("ova_descriptors_that_qemu_misreads", misread)]
}

const SECTOR: usize = 512;
const CUT: usize = 301;
const SECTORS: usize = 651;

/// A package whose disk is two flat extents.
struct Split<'s, 'w> {
    shop: &'s Workshop<'w>,
    disk: Vec<u8>,
}

impl<'s, 'w> Split<'s, 'w> {
    fn new(shop: &'s Workshop<'w>) -> Self {
        let disk = noise(SECTORS * SECTOR, 5);
        let (one, two) = disk.split_at(CUT * SECTOR);
        fs::write(shop.sandbox.store("one.vmdk"), one).unwrap();
        fs::write(shop.sandbox.store("two.vmdk"), two).unwrap();
        // Without a capacity, the disk's descriptor alone says how large it is.
        let ovf = ova::ovf(&[("disk.vmdk", 0, ova::VMDK)]).replace(" ovf:capacity=\"0\"", "");
        fs::write(shop.sandbox.store("image.ovf"), ovf).unwrap();
        Self { shop, disk }
    }

    /// What qemu-img makes of a descriptor, and what we do.
    fn read(&self, descriptor: &str) -> [Option<Vec<u8>>; 2] {
        let store = |name: &str| self.shop.sandbox.store(name);
        fs::write(store("disk.vmdk"), descriptor).unwrap();
        let theirs = self.shop.sandbox.home("theirs.raw");
        let mut convert = Command::new(find_program("qemu-img").unwrap());
        let convert = convert.args(["convert", "-f", "vmdk", "-O", "raw"]).arg(store("disk.vmdk")).arg(&theirs);
        let theirs = convert.output().unwrap().status.success().then(|| fs::read(&theirs).unwrap());
        let members = ["image.ovf", "disk.vmdk", "one.vmdk", "two.vmdk"];
        ova::archive(&store("image.ova"), self.shop.sandbox.store_dir(), &members, "ustar");
        let form = json!({ "disk_format": "vmdk", "container_format": "ova" });
        let answer = self.shop.sandbox.place_value(&self.shop.record(&store("image.ova"), "file", &form), "disk");
        let target = self.shop.sandbox.out("disk");
        let ours = (answer.status == 0).then(|| fs::read(&target).unwrap());
        if ours.is_some() {
            fs::remove_file(target).unwrap();
        }
        self.shop.sandbox.only(&[]);
        [theirs, ours]
    }
}

fn usual() -> String {
    format!(
        "# Disk DescriptorFile\nversion=1\nCID=2f6a1c09\nparentCID=ffffffff\ncreateType=\"twoGbMaxExtentFlat\"\n\n\
         # Extent description\nRW {CUT} FLAT \"one.vmdk\" 0\nRW {} FLAT \"two.vmdk\" 0\n\n\
         # The Disk Data Base\nddb.adapterType = \"lsilogic\"\n",
        SECTORS - CUT
    )
}

/// Whole lines that are put somewhere.
const LINES: [&str; 12] = [
    "",
    " \t",
    "#",
    "RW 10 ZERO",
    "RDONLY 4 ZERO",
    "rw 3 zero",
    "# RW 1 FLAT \"one.vmdk\" 0",
    "RW 3 FLAT \"one.vmdk\" 2",
    "encoding=\"UTF-8\"",
    "CID=2",
    "createType=\"x\"",
    "parentCID=00000000",
];
/// What is put behind a line.
const ENDS: [&str; 7] = ["\r", " ", "\t", " 0", " extra", "\0", "#"];

fn change(text: &str, seed: u64) -> String {
    let mut dice = noise(64, seed).into_iter().map(usize::from);
    let mut next = |bound: usize| dice.next().unwrap() % bound;
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    for _ in 0..=next(2) {
        let at = next(lines.len());
        match next(8) {
            0 => lines[at] = lines[at].to_uppercase(),
            1 => lines[at] = lines[at].to_lowercase(),
            2 => lines[at].insert_str(0, ["  ", "#", "\t"][next(3)]),
            3 => lines[at] = lines[at].replacen(' ', ["  ", "\t", ""][next(3)], 1),
            4 => lines.insert(at, LINES[next(LINES.len())].to_owned()),
            5 => lines[at].push_str(ENDS[next(ENDS.len())]),
            6 => drop(lines.remove(at)),
            _ => {
                let other = next(lines.len());
                lines.swap(at, other);
            }
        }
    }
    lines.join("\n")
}

fn changed(world: &World) {
    let shop = Workshop::new(world);
    let split = Split::new(&shop);
    assert_eq!(split.read(&usual()), [Some(split.disk.clone()), Some(split.disk.clone())]);
    let count = world.rounds(60, 1000) as u64;
    let (mut taken, mut refused) = (0, 0);
    for seed in 1..=count {
        let descriptor = change(&usual(), seed);
        let [theirs, ours] = split.read(&descriptor);
        match (theirs, ours) {
            (Some(theirs), Some(ours)) => {
                assert!(theirs == ours, "seed {seed}: {} and {} bytes: {descriptor:?}", theirs.len(), ours.len());
                taken += 1;
            }
            (_, None) => refused += 1,
            (None, Some(_)) => {}
        }
    }
    assert!(taken > count / 4 && refused > count / 10, "of {count}, {taken} are taken and {refused} refused");
}

/// Why these are refused: qemu-img takes them, and finds another disk than the one that the lines say.
fn misread(world: &World) {
    let shop = Workshop::new(world);
    let split = Split::new(&shop);
    let last = format!("RW {} FLAT", SECTORS - CUT);
    for (old, new, sectors) in [
        (&*last, format!("RW 10 ZERO\n{last}"), SECTORS),
        (&last, last.replace("RW", "rw"), CUT),
        (&last, last.replace("RW", "RDONLY"), CUT),
        (&last, format!("\n{last}"), 2 * SECTORS - CUT),
        (&last, format!(" \t\n{last}"), 2 * SECTORS - CUT),
        ("RW 301", "\r\nRW 301".to_owned(), SECTORS + CUT),
    ] {
        let [theirs, ours] = split.read(&usual().replacen(old, &new, 1));
        assert_eq!((theirs.map(|disk| disk.len()), ours), (Some(sectors * SECTOR), None), "{new:?}");
    }
}

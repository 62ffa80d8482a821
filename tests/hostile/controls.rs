//! That the sweep would see it: the corpus is whole, the meter and the watch see, and a wrong expectation fails.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use super::corpus::Corpus;
use super::meter::{Cost, MOST};
use super::sweep::{Site, plainly};
use super::watch::Watch;
use super::{CLASSES, CONTROLS, FIRST};
use crate::support::mounts::Fs;
use crate::support::needs::find_program;
use crate::support::record::{record_of, sha512};
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

/// All that is enumerated is there: the classes with their cases, the first ones, the legal images.
pub(super) fn corpus(world: &World) {
    let corpus = Corpus::of(world);
    let listed: BTreeSet<&str> = corpus.classes.iter().map(String::as_str).collect();
    assert_eq!(listed, BTreeSet::from(CLASSES.map(|(class, _)| class)));
    assert_eq!(corpus.cases.len(), CLASSES.iter().map(|(_, cases)| cases).sum::<usize>());
    assert_eq!(corpus.cases.iter().filter(|case| case.first).count(), FIRST);
    assert_eq!(corpus.controls.len(), CONTROLS);
    let used: BTreeSet<&str> = corpus.cases.iter().map(|case| case.control.as_str()).collect();
    assert_eq!(used.len(), CONTROLS, "every legal image stands beside a case");
    // The records are true but where a case says otherwise: it is the bytes that are refused.
    for case in corpus.cases.iter().filter(|case| case.class != "record") {
        let image = &case.image;
        let bytes = image.file.metadata().unwrap().len();
        assert_eq!(image.record["size"], bytes, "{}", image.name);
        assert_eq!(image.record["os_hash_value"], sha512(&image.file), "{}", image.name);
    }
}

/// The meter sees what an image costs, in a worker too.
pub(super) fn meter(world: &World) {
    let site = Site::new(world);
    let corpus = Corpus::of(world);
    let (answer, cost) = site.place(&corpus.heavy, plainly());
    answer.success();
    assert!(cost.resident_bytes > MOST.resident_bytes && !cost.is_bounded(), "{cost:?}");
    // Without the operator's word it is refused, and costs little.
    let mut usual = corpus.heavy.clone();
    usual.handlers.clear();
    fs::remove_file(answer.document()["targets"][0]["path"].as_str().unwrap()).unwrap();
    let (answer, cost) = site.place(&usual, plainly());
    answer.failure("limit", "window-too-large", "image");
    assert!(cost.is_bounded(), "{cost:?}");

    let file = site.home("cost");
    let busy = "import time\nwhile time.process_time() < 0.5: pass";
    let mut command = Command::new(corpus.dir.join("meter"));
    let status = command.arg(&file).arg(find_program("python3").unwrap()).args(["-c", busy]).status().unwrap();
    assert!(status.success());
    assert!(Cost::read(&file).processor_milliseconds >= 450, "{:?}", Cost::read(&file));
}

/// The watch sees a file that is read or written, by this process or by a placement; and a port sees who comes.
pub(super) fn watch(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Ext4);
    let dir = sandbox.store_dir();
    let secret = sandbox.store("secret.raw");
    fs::write(&secret, [0x5a; 8192]).unwrap();
    let record = record_of(&secret);
    let all = [Watch::new().untouched(&secret), Watch::new().untouched(dir), Watch::new().unchanged(dir)];
    // That a descriptor is closed may come later: a process that another test has just started may hold it still.
    let seen = |event: &str| all.each_ref().map(|watch| watch.events().iter().any(|line| line.contains(event)));
    assert_eq!(seen("OPEN"), [false, false, false]);
    let mut byte = [0];
    fs::File::open(&secret).unwrap().read_exact(&mut byte).unwrap();
    assert_eq!(seen("ACCESS"), [true, true, false]);
    sandbox.place_value(&record, "disk").success();
    assert_eq!(seen("ACCESS"), [true, true, false], "a placement reads it");
    fs::write(&secret, byte).unwrap();
    assert_eq!(seen("MODIFY"), [true, true, true]);
    fs::write(dir.join("another"), "").unwrap();
    assert_eq!(seen("CREATE"), [false, true, true]);

    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    port.set_nonblocking(true).unwrap();
    assert!(port.accept().is_err());
    let _come = TcpStream::connect(port.local_addr().unwrap()).unwrap();
    assert!(port.accept().is_ok());
}

/// A legal image that is called hostile, a wrong code, and a hostile image that is called legal are all told of.
pub(super) fn sweep(world: &World) {
    let site = Site::new(world);
    let corpus = Corpus::of(world);
    let case = corpus.cases.iter().find(|case| case.class == "grain-inflates").unwrap();
    assert_eq!(site.refused(case, plainly()), None);

    let mut wrong = case.clone();
    wrong.error[1] = "inflates-otherwise".to_owned();
    assert!(site.refused(&wrong, plainly()).is_some_and(|said| said.contains("inflates-otherwise")));
    let legal = corpus.control(&case.control);
    assert_eq!(site.placed(legal, plainly()), None);
    wrong.image = legal.clone();
    assert!(site.refused(&wrong, plainly()).is_some_and(|said| said.contains("it was placed")));
    assert!(site.placed(&case.image, plainly()).is_some_and(|said| said.contains("it was refused")));
    let mut other = legal.clone();
    other.disks[0].1 = "0".repeat(128);
    assert!(site.placed(&other, plainly()).is_some_and(|said| said.contains("another disk")));
}

//! Several images in one call: all of them are there at once, or none.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{add_image, configure};
use crate::support::agent::Agent;
use crate::support::case::Case;
use crate::support::disk::{assert_same_bytes, noise};
use crate::support::fault_server::FaultServer;
use crate::support::left_over::assert_only;
use crate::support::mounts::Fs;
use crate::support::needs::{Need, find_program};
use crate::support::ova;
use crate::support::record::record_of;
use crate::support::sandbox::Sandbox;
use crate::support::seeded::Content;
use crate::support::world::World;

const NEEDS: [Need; 4] =
    [Need::Program("qemu-img"), Need::Program("gzip"), Need::Program("tar"), Need::Program("sha1sum")];
const FROM_AFAR: Content = Content::new(3 << 20, 41);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for fs in [Fs::Xfs, Fs::Ext4] {
        let name = |what: &str| format!("agent::{what}_on_{}", fs.name());
        cases.push(Case::new(name("five_images_of_a_group"), move |world| whole(world, fs)).on(fs).needs(&NEEDS));
        cases.push(Case::new(name("one_bad_image_of_five"), move |world| one_bad(world, fs)).on(fs).needs(&NEEDS));
    }
    cases.push(Case::new("agent::groups_that_cannot_be", refused).mode_independent());
    cases
}

/// Images of five kinds, in a store and at a server: what they are called, and the disks that they have.
struct Kinds<'w> {
    sandbox: Sandbox<'w>,
    _server: FaultServer,
    disks: Vec<(&'static str, Vec<PathBuf>)>,
}

impl<'w> Kinds<'w> {
    fn new(world: &'w World, fs: Fs) -> Self {
        let sandbox = Sandbox::on(world, fs);
        configure(&sandbox, "", "");
        let server = FaultServer::honest(FROM_AFAR);
        add_image(&sandbox, "afar", FROM_AFAR, &server);
        let disk = |name: &str, seed: u64| {
            let path = sandbox.home(name);
            let mut bytes = noise(500_000, seed);
            bytes.resize(2 << 20, 0);
            fs::write(&path, bytes).unwrap();
            path
        };
        let afar = sandbox.home("afar.raw");
        fs::write(&afar, FROM_AFAR.bytes()).unwrap();
        let (plain, packed, sparse) = (disk("plain.raw", 1), disk("packed.raw", 2), disk("sparse.raw", 3));
        let parts = [disk("one.raw", 4), disk("two.raw", 5)];

        fs::copy(&plain, sandbox.store("plain.raw")).unwrap();
        catalog(&sandbox, "plain", &sandbox.store("plain.raw"), &json!({}));
        let gzip = Command::new(find_program("gzip").unwrap()).arg("-c").arg(&packed).output().unwrap();
        fs::write(sandbox.store("packed.gz"), gzip.stdout).unwrap();
        catalog(&sandbox, "packed", &sandbox.store("packed.gz"), &json!({ "compression": "gzip" }));
        let vmdk = |from: &Path, name: &str| {
            let options = ["convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"];
            let mut qemu = Command::new(find_program("qemu-img").unwrap());
            assert!(qemu.args(options).arg(from).arg(sandbox.store(name)).status().unwrap().success());
        };
        vmdk(&sparse, "sparse.vmdk");
        catalog(&sandbox, "sparse", &sandbox.store("sparse.vmdk"), &json!({ "disk_format": "vmdk" }));
        vmdk(&parts[0], "one.vmdk");
        vmdk(&parts[1], "two.vmdk");
        let described = [("one.vmdk", 2 << 20, ova::VMDK), ("two.vmdk", 2 << 20, ova::VMDK)];
        fs::write(sandbox.store("image.ovf"), ova::ovf(&described)).unwrap();
        let manifest = ova::manifest(sandbox.store_dir(), &["image.ovf", "one.vmdk", "two.vmdk"], "SHA256");
        fs::write(sandbox.store("image.mf"), manifest).unwrap();
        let members = ["image.ovf", "image.mf", "one.vmdk", "two.vmdk"];
        ova::archive(&sandbox.store("vm.ova"), sandbox.store_dir(), &members, "ustar");
        let form = json!({ "disk_format": "vmdk", "container_format": "ova" });
        catalog(&sandbox, "appliance", &sandbox.store("vm.ova"), &form);

        let disks = vec![
            ("afar", vec![afar]),
            ("plain", vec![plain]),
            ("packed", vec![packed]),
            ("sparse", vec![sparse]),
            ("appliance", parts.to_vec()),
        ];
        Self { sandbox, _server: server, disks }
    }

    fn request(&self, to: &str) -> Value {
        let member = |(id, _): &(&str, Vec<PathBuf>)| json!({ "name": format!("the-{id}"), "image": { "id": id } });
        json!({ "group": self.disks.iter().map(member).collect::<Vec<_>>(), "to_dir": self.sandbox.out(to) })
    }
}

/// Puts the record of a file of the store into the catalog.
fn catalog(sandbox: &Sandbox<'_>, id: &str, file: &Path, form: &Value) {
    let mut record = record_of(file);
    record["id"] = id.into();
    for (key, value) in form.as_object().unwrap() {
        record[key] = value.clone();
    }
    fs::write(sandbox.home("records").join(format!("{id}.json")), record.to_string()).unwrap();
}

fn whole(world: &World, fs: Fs) {
    let kinds = Kinds::new(world, fs);
    let agent = Agent::start(&kinds.sandbox);
    let request = kinds.request("vm");
    let reply = agent.place(&request);
    assert_eq!(reply.status, 200, "{:#}", reply.document);
    let vm = kinds.sandbox.out("vm");
    let names = ["disk-0.raw", "disk-1.raw", "disk-2.raw", "disk-3.raw", "disk-4.raw", "disk-5.raw", "disks.json"];
    assert_only(&vm, &names);
    let document: Value = serde_json::from_slice(&fs::read(vm.join("disks.json")).unwrap()).unwrap();
    let mut described = document["disks"].as_array().unwrap().iter();
    for (id, disks) in &kinds.disks {
        for disk in disks {
            let told = described.next().unwrap();
            assert_eq!(told["image_name"], format!("the-{id}"), "{document:#}");
            assert_same_bytes(disk, &vm.join(told["file"].as_str().unwrap()));
        }
    }
    assert!(described.next().is_none());
    assert_eq!(document["group"][4]["machine"]["vcpus"], 2, "{document:#}");
    // It is one placement: made again it is the same, and it goes as a whole.
    assert_eq!(agent.place(&request).document["repeated"], true);
    assert_eq!(kinds.sandbox.placements(), std::slice::from_ref(&vm));
    let removed = agent.ask("POST", "/v0/remove", Some(&json!({ "path": vm })));
    assert_eq!(removed.status, 200, "{:#}", removed.document);
    kinds.sandbox.only(&[]);
}

/// Each of the five in turn is not what its record says.
fn one_bad(world: &World, fs: Fs) {
    let kinds = Kinds::new(world, fs);
    let agent = Agent::start(&kinds.sandbox);
    let wrong = "0".repeat(128);
    let mut codes = Vec::new();
    for (id, _) in &kinds.disks {
        let path = kinds.sandbox.home("records").join(format!("{id}.json"));
        let good = fs::read_to_string(&path).unwrap();
        let mut record: Value = serde_json::from_str(&good).unwrap();
        let digits = record["os_hash_value"].as_str().unwrap().len();
        record["os_hash_value"] = wrong[..digits].into();
        fs::write(&path, record.to_string()).unwrap();
        let reply = agent.place(&kinds.request("vm"));
        assert_eq!(reply.status, 424, "{:#}", reply.document);
        let error = &reply.document["error"];
        codes.push(error["code"].as_str().unwrap().to_owned());
        assert!(error["message"].as_str().unwrap().contains(&format!("the-{id} of the group")), "{error:#}");
        kinds.sandbox.only(&[]);
        assert!(kinds.sandbox.placements().is_empty());
        fs::write(&path, good).unwrap();
    }
    assert_eq!(codes, ["digest-mismatch"; 5]);
    // The control: all of them good.
    assert_eq!(agent.place(&kinds.request("vm")).status, 200);
}

fn refused(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    configure(&sandbox, "", "");
    let server = FaultServer::honest(FROM_AFAR);
    add_image(&sandbox, "afar", FROM_AFAR, &server);
    let agent = Agent::start(&sandbox);
    let member = |name: &str| json!({ "name": name, "image": { "id": "afar" } });
    let group = |members: Vec<Value>| json!({ "group": members, "to_dir": sandbox.out("vm") });
    let long = "n".repeat(65);
    let names = ["", ".hidden", "a/b", "..", "a b", "\u{e9}", &long];
    for name in names {
        let reply = agent.place(&group(vec![member(name)]));
        assert_eq!((reply.status, &reply.document["error"]["code"]), (400, &json!("group-name")), "{name:?}");
    }
    let twice = agent.place(&group(vec![member("a"), member("a")]));
    assert_eq!((twice.status, &twice.document["error"]["code"]), (400, &json!("group-name")));
    let many = agent.place(&group((0..65).map(|number| member(&format!("n{number}"))).collect()));
    assert_eq!((many.status, &many.document["error"]["code"]), (422, &json!("group-size")));
    let mut grown = group(vec![member("a")]);
    grown["size"] = json!(1 << 30);
    let grown = agent.place(&grown);
    assert_eq!((grown.status, &grown.document["error"]["code"]), (400, &json!("directory-options")));
    assert_eq!(server.counts().connections, 0);
    sandbox.only(&[]);
    // The control: a group that can be.
    assert_eq!(agent.place(&group(vec![member("a"), member("b")])).status, 200);
    assert_eq!(server.counts().sent_content(), FROM_AFAR.size, "one image twice in a group is fetched once");
}

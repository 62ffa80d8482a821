//! A node of a cloud: its configuration, its people, and images of the cloud.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::command::{Landfall, Running};
use crate::support::mounts::Fs;
use crate::support::openstack::{Glance, Group, OpenStack, request};
use crate::support::sandbox::Sandbox;
use crate::support::seeded::Content;
use crate::support::world::World;

/// Not a multiple of anything.
pub(crate) const IMAGE: Content = Content::new((3 << 20) + 777, 11);

/// Longer than Glance takes on a busy machine to end what it has done.
const BOUND: Duration = Duration::from_secs(60);
/// What a placement that has begun has at least.
const PART: u64 = 128 << 10;

/// One test's node, and the services.
pub(crate) struct Site<'w> {
    pub(crate) services: OpenStack,
    pub(crate) sandbox: Sandbox<'w>,
    pub(crate) admin: Glance,
}

impl<'w> Site<'w> {
    /// With all services to itself: Glance keeps its images in SQLite here, and answers with 500 where several write at once.
    pub(crate) fn new(world: &'w World) -> Self {
        Self::on(world, Fs::Temp)
    }

    /// The same with targets on this file system.
    pub(crate) fn on(world: &'w World, fs: Fs) -> Self {
        let services = OpenStack::alone(world, Group::Glance);
        let site = Self { admin: services.glance("admin"), services, sandbox: Sandbox::on(world, fs) };
        site.configure("", "");
        site
    }

    /// The configuration of a node that knows Glance's Swift store, with more lines.
    pub(crate) fn configure(&self, top: &str, tables: &str) {
        let glance = self.services.person("glance");
        let store = format!(
            "[landfall]\nauth_address = {}\nuser = {}:{}\nkey = '{}'\nproject_domain_id = default\nuser_domain_id = default\n",
            self.services.auth_url(),
            glance.project,
            glance.name,
            glance.password
        );
        let path = self.secret("swift-store.conf", &store);
        self.sandbox.configure(top, &format!("{tables}\n[handler.swift]\nstore_config_file = {path:?}\n"));
    }

    /// Writes a file that only its owner reads.
    pub(crate) fn secret(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.sandbox.home(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// An image that everybody may see, its bytes in this store; gives its id.
    pub(crate) fn image(&self, store: &str) -> String {
        self.image_of(IMAGE, store)
    }

    /// The same with these bytes.
    pub(crate) fn image_of(&self, content: Content, store: &str) -> String {
        let id = self.admin.create("image");
        self.admin.upload(&id, store, &content.bytes());
        id
    }

    /// Has Glance copy it to another store, and waits until nothing of that goes on any more.
    pub(crate) fn copy(&self, id: &str, store: &str) {
        self.admin.copy(id, store);
        let ended = |task: &Value| ["success", "failure"].contains(&task["status"].as_str().unwrap());
        let end = Instant::now() + BOUND;
        while !self.admin.get(&format!("{id}/tasks")).ok().json()["tasks"].as_array().unwrap().iter().all(ended) {
            assert!(Instant::now() < end, "the copy of {id} goes on");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Who logs in by a password, as an `openrc` has it.
    pub(crate) fn openrc(&self, name: &str) -> Vec<(&'static str, String)> {
        let person = self.services.person(name);
        vec![
            ("OS_AUTH_URL", self.services.auth_url()),
            ("OS_USERNAME", person.name),
            ("OS_PASSWORD", person.password),
            ("OS_PROJECT_NAME", person.project),
            ("OS_USER_DOMAIN_ID", "default".to_owned()),
            ("OS_PROJECT_DOMAIN_ID", "default".to_owned()),
        ]
    }

    /// `[cloud.NAME]` of a person, with a password in the configuration.
    pub(crate) fn cloud(&self, name: &str, person: &str, more: &str) -> String {
        let person = self.services.person(person);
        format!(
            "[cloud.{name}]\n{more}\n[cloud.{name}.auth]\nauth_url = {:?}\nusername = {:?}\npassword = {:?}\nproject_name = {:?}\n",
            self.services.auth_url(),
            person.name,
            person.password,
            person.project
        )
    }

    /// `landfall place ID` as this person.
    pub(crate) fn place(&self, id: &str, who: &str, target: &str) -> Landfall {
        self.with(self.sandbox.place(id, target), &self.openrc(who))
    }

    /// `landfall plan ID` as this person.
    pub(crate) fn plan(&self, id: &str, who: &str) -> Value {
        self.with(self.sandbox.plan(id, "planned"), &self.openrc(who)).run().success().clone()
    }

    /// With variables of the environment.
    pub(crate) fn with(&self, command: Landfall, variables: &[(&'static str, String)]) -> Landfall {
        variables.iter().fold(command, |command, (name, value)| command.env(name, value))
    }

    /// Fails unless the target has the image's bytes and the answer says that this handler brought them; removes it.
    #[track_caller]
    pub(crate) fn placed(&self, answer: &Answer, target: &str, handler: &str) {
        self.placed_of(IMAGE, answer, target, handler);
    }

    /// The same of an image of these bytes.
    #[track_caller]
    pub(crate) fn placed_of(&self, content: Content, answer: &Answer, target: &str, handler: &str) {
        let document = answer.success();
        assert_eq!(document["handler"], handler, "{answer:#?}");
        assert_ne!(document["verified"], "no", "{answer:#?}");
        let path = self.sandbox.out(target);
        content.assert_at(&path);
        std::fs::remove_file(path).unwrap();
    }

    /// Starts a placement, and waits until a part is there.
    pub(crate) fn begun(&self, command: Landfall) -> Running {
        let running = command.args(["--progress", "json"]).spawn();
        running.line(|line| done(line).is_some_and(|done| done >= PART)).expect("a part arrives");
        running
    }

    /// Locations, in the order in which they are tried, of a plan.
    pub(crate) fn order(plan: &Value) -> Vec<String> {
        let order = plan["decision"]["order"].as_array().unwrap_or_else(|| panic!("{plan:#}"));
        order.iter().map(|place| place["location"].as_str().unwrap().to_owned()).collect()
    }

    /// Handlers of a plan's attempts.
    pub(crate) fn attempts(plan: &Value) -> Vec<String> {
        let planned = plan["decision"]["planned"].as_array().unwrap_or_else(|| panic!("{plan:#}"));
        planned.iter().map(|attempt| attempt["handlers"][0].as_str().unwrap().to_owned()).collect()
    }

    /// The directory of Glance's file store, of an image that is in it.
    pub(crate) fn file_store(&self, id: &str) -> PathBuf {
        let locations = self.admin.locations(id);
        let path = locations.iter().find_map(|location| location["url"].as_str()?.strip_prefix("file://")).unwrap();
        Path::new(path).parent().unwrap().to_owned()
    }

    /// The table of Glance's file store.
    pub(crate) fn file_store_table(&self, id: &str) -> String {
        format!("[[store]]\nid = \"fs\"\ntype = \"file\"\nroot = {:?}\n", self.file_store(id))
    }

    /// Changes an image as Glance's API does.
    pub(crate) fn act(&self, id: &str, action: &str) {
        let token = [("X-Auth-Token", self.admin.token.as_str())];
        request("POST", &self.admin.url_of(&format!("{id}/actions/{action}")), &token, b"").ok();
    }

    /// An image of this person's own; gives its id.
    pub(crate) fn private_image(&self, who: &str) -> String {
        let glance = self.services.glance(who);
        let wanted =
            json!({ "name": "private", "disk_format": "raw", "container_format": "bare", "visibility": "private" });
        let id = glance.send("POST", "", &wanted).ok().json()["id"].as_str().unwrap().to_owned();
        glance.upload(&id, "sw", &IMAGE.bytes());
        id
    }
}

/// How much is there, if the line of progress says so.
fn done(line: &str) -> Option<u64> {
    let event: Value = serde_json::from_str(line).ok()?;
    (event["event"] == "bytes").then(|| event["done"].as_u64()).flatten()
}

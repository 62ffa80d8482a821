//! The examples that call the agent do what they say.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::{add_image, configure};
use crate::support::agent::Agent;
use crate::support::case::Case;
use crate::support::fault_server::FaultServer;
use crate::support::mounts::Fs;
use crate::support::needs::Need;
use crate::support::sandbox::Sandbox;
use crate::support::seeded::Content;
use crate::support::world::World;

const IMAGE: Content = Content::new(1 << 20, 55);

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::new("agent::example_in_c", in_c).needs(&[Need::Program("cc")]).mode_independent(),
        Case::new("agent::example_boot_script", boot_script).needs(&[Need::Program("curl")]).mode_independent(),
        Case::new("agent::example_in_python", in_python).needs(&[Need::Program("python3")]).mode_independent(),
    ]
}

fn begin(world: &World) -> (Sandbox<'_>, FaultServer, Agent) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    configure(&sandbox, "", "");
    let server = FaultServer::honest(IMAGE);
    add_image(&sandbox, "image", IMAGE, &server);
    let agent = Agent::start(&sandbox);
    (sandbox, server, agent)
}

fn example(sandbox: &Sandbox<'_>, name: &str) -> PathBuf {
    sandbox.world.install.source.join("examples/agent").join(name)
}

fn run(command: &mut Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn in_c(world: &World) {
    let (sandbox, _server, agent) = begin(world);
    let program = sandbox.home("client");
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&program);
    let built = cc.arg(example(&sandbox, "landfall_client.c")).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let call = |method: &str, path: &str, request: &str| {
        let output = run(Command::new(&program).arg(&agent.socket).args([method, path]), request);
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default())
    };
    let request = json!({ "image": { "id": "image" }, "to": sandbox.out("disk") }).to_string();
    let (status, placed) = call("POST", "/v0/place", &request);
    assert_eq!((status, &placed["ok"]), (Some(0), &json!(true)), "{placed:#}");
    assert_eq!(IMAGE.fault_of(&sandbox.out("disk")), None);
    let (status, refused) = call("POST", "/v0/place", "{}");
    assert_eq!((status, &refused["error"]["kind"]), (Some(1), &json!("invalid")));
    assert_eq!(call("GET", "/v0/health", "").1["ok"], true);
    let gone = run(Command::new(&program).arg(sandbox.home("none")).args(["GET", "/v0/health"]), "");
    assert_eq!(gone.status.code(), Some(2));
}

fn boot_script(world: &World) {
    let (sandbox, _server, mut agent) = begin(world);
    let script = example(&sandbox, "boot-disk.sh");
    let boot = |image: &str, target: &str| {
        let mut command = Command::new("sh");
        command.arg(&script).arg(image).arg(sandbox.out(target)).env("LANDFALL_SOCKET", &agent.socket);
        run(&mut command, "a-token")
    };
    let placed = boot("image", "disk");
    assert_eq!(placed.status.code(), Some(0), "{}", String::from_utf8_lossy(&placed.stderr));
    assert_eq!(IMAGE.fault_of(&sandbox.out("disk")), None);
    let refused = boot("none", "other");
    assert_eq!(refused.status.code(), Some(1), "{}", String::from_utf8_lossy(&refused.stderr));
    assert!(!String::from_utf8_lossy(&refused.stderr).contains("a-token"));
    agent.kill();
    let gone = run(
        Command::new("sh").arg(&script).arg("image").arg(sandbox.out("late")).env("LANDFALL_SOCKET", &agent.socket),
        "",
    );
    assert_eq!(gone.status.code(), Some(75), "{}", String::from_utf8_lossy(&gone.stderr));
}

fn in_python(world: &World) {
    let (sandbox, server, agent) = begin(world);
    server.hold_after(1 << 19);
    let job = agent.begin(&json!({ "image": { "id": "image" }, "to": sandbox.out("disk") }));
    let mut events = Command::new("/usr/bin/python3");
    events.args(["-B"]).arg(example(&sandbox, "landfall_client.py")).arg("--socket").arg(&agent.socket);
    let child = events.args(["events", &job]).stdout(Stdio::piped()).spawn().unwrap();
    agent.until("somebody follows", || agent.metric("landfall_connections") == 2);
    server.go_on();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text.lines().last().unwrap();
    let document: Value = serde_json::from_str(last.strip_prefix("end ").unwrap_or_else(|| panic!("{text}"))).unwrap();
    assert_eq!(document["report"]["ok"], true, "{document:#}");
    // A call that may succeed later is made again by itself.
    let group = r#"
import sys
sys.path.insert(0, sys.argv[2])
from landfall_client import Agent, AgentError
agent = Agent(sys.argv[1])
placed = agent.place_group({"one": {"id": "image"}, "two": {"id": "image"}}, sys.argv[3])
assert len(placed["targets"]) == 2, placed
assert agent.remove(sys.argv[3])["ok"]
try:
    agent.place({"id": "none"}, to=sys.argv[3])
except AgentError as error:
    assert (error.kind, error.retry) == ("not-found", "no"), error.error
else:
    sys.exit("it was not refused")
"#;
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-B", "-c", group]).arg(&agent.socket).arg(example(&sandbox, "")).arg(sandbox.out("vm"));
    let output = python.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

use std::io::Read;
use std::thread;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use rustix::net::{Shutdown, send, shutdown};
use serde_json::{Value, json};

use super::*;

fn wires() -> (Wire, Wire) {
    let (one, two) = pair().unwrap();
    (Wire::new(one).unwrap(), Wire::new(two).unwrap())
}

fn a_pipe() -> (File, OwnedFd) {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    (File::from(reader), writer)
}

/// Whether the write end that was passed along is closed everywhere. A process that another test is just starting may
/// have it for a moment.
fn is_closed(mut reader: &File) -> bool {
    let mut polled = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
    poll(&mut polled, 5000_u16).unwrap();
    let closed = polled[0].revents().is_some_and(|seen| seen.contains(PollFlags::POLLHUP));
    assert!(!closed || reader.read(&mut [0]).unwrap() == 0);
    closed
}

/// What the other end makes of such a packet. No descriptor may be left behind.
#[track_caller]
fn is_garbage(packet: &[u8], first: Option<BorrowedFd<'_>>, pipes: usize) {
    let (raw, wire) = pair().map(|(raw, end)| (raw, Wire::new(end).unwrap())).unwrap();
    let (reader, writer) = a_pipe();
    let all: Vec<BorrowedFd<'_>> = first.into_iter().chain(std::iter::repeat_n(writer.as_fd(), pipes)).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !all.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(&all)));
    }
    sendmsg(&raw, &[IoSlice::new(packet)], &mut control, SendFlags::empty()).unwrap();
    drop(writer);
    let error = wire.receive::<Value>().unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Crashed, "wire-garbage"));
    assert_eq!(error.scope(), landfall_handler_api::Scope::Handler);
    assert!(error.message().len() < 100 && !error.message().contains("needle"), "{error}");
    assert!(is_closed(&reader), "a descriptor was left behind");
}

#[test]
fn messages_go_both_ways_with_and_without_descriptors() {
    let (agent, worker) = wires();
    let (reader, writer) = a_pipe();
    agent.send(&json!({"call": 1}), &[]).unwrap();
    agent.send(&json!({"load": "x"}), &[writer.as_fd(), agent.descriptor()]).unwrap();
    worker.send(&json!({"done": 1}), &[writer.as_fd(); DESCRIPTORS_MAX]).unwrap();
    drop(writer);
    let (message, descriptors) = worker.receive::<Value>().unwrap().unwrap();
    assert_eq!((message, descriptors.len()), (json!({"call": 1}), 0));
    let (message, mut descriptors) = worker.receive::<Value>().unwrap().unwrap();
    assert_eq!((message, descriptors.len()), (json!({"load": "x"}), 2));
    for descriptor in &descriptors {
        let flags = FdFlag::from_bits_truncate(fcntl(descriptor, FcntlArg::F_GETFD).unwrap());
        assert!(flags.contains(FdFlag::FD_CLOEXEC));
    }
    File::from(descriptors.remove(0)).write_all(b"through").unwrap();
    let mut text = [0; 7];
    (&reader).read_exact(&mut text).unwrap();
    assert_eq!(&text, b"through");
    let (message, descriptors) = agent.receive::<Value>().unwrap().unwrap();
    assert_eq!((message, descriptors.len()), (json!({"done": 1}), DESCRIPTORS_MAX));
    drop(descriptors);
    assert!(is_closed(&reader));
}

#[test]
fn documents_of_any_length_come_whole() {
    let (agent, worker) = wires();
    let (_reader, writer) = a_pipe();
    let overhead = json!({"text": ""}).to_string().len();
    for length in [1, PACKET_MAX, PACKET_MAX + 1, 1 << 20, MESSAGE_MAX] {
        let message = json!({"text": "x".repeat(length.saturating_sub(overhead))});
        agent.send(&message, &[writer.as_fd(); DESCRIPTORS_MAX]).unwrap();
        let (received, descriptors) = worker.receive::<Value>().unwrap().unwrap();
        assert!(received == message && descriptors.len() == DESCRIPTORS_MAX);
    }
    let error = agent.send(&json!({"text": "x".repeat(MESSAGE_MAX)}), &[]).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Limit, "wire-too-long"));
}

#[test]
fn what_cannot_be_sent_is_refused_here() {
    let (agent, _worker) = wires();
    for message in [json!("word"), json!([1]), json!(7)] {
        assert_eq!(agent.send(&message, &[]).unwrap_err().code(), "wire-misused");
    }
    let many = [agent.descriptor(); DESCRIPTORS_MAX + 1];
    assert_eq!(agent.send(&json!({}), &many).unwrap_err().code(), "wire-misused");
    let (reader, _writer) = a_pipe();
    assert_eq!(Wire::new(reader.into()).unwrap_err().code(), "wire-misused");
}

#[test]
fn garbage_is_called_garbage_and_its_descriptors_are_closed() {
    let with_pipes = |packet: &[u8]| {
        for pipes in [0, 1, 8] {
            is_garbage(packet, None, pipes);
        }
    };
    with_pipes(b"");
    with_pipes(b" {}");
    with_pipes(b"[\"needle\"]");
    with_pipes(b"{\"needle\": ");
    with_pipes(b"{\"needle\": 1} needle");
    with_pipes(b"{\"needle\": \"\xff\"}");
    with_pipes("{".repeat(PACKET_MAX).as_bytes());
    with_pipes(&[b"{}".as_slice(), &vec![b' '; PACKET_MAX]].concat());
    with_pipes(b"M");
    with_pipes(b"M2");
    with_pipes(b"M99999999999999999999999999");
    // One too many fits into the padding of the control buffer, and more do not.
    for pipes in [DESCRIPTORS_MAX + 1, DESCRIPTORS_MAX + 2, 64] {
        is_garbage(b"{}", None, pipes);
    }
}

#[test]
fn a_document_must_be_sealed_memory_of_the_size_that_was_said() {
    let document = b"{\"needle\":1}";
    let good = in_memory(document).unwrap();
    for size in ["", "0", "11", "13", "+12", "-12", "12 ", "0x0c", "16777217", "18446744073709551628"] {
        is_garbage(format!("M{size}").as_bytes(), Some(good.as_fd()), 1);
    }
    is_garbage(b"M12", Some(good.as_fd()), DESCRIPTORS_MAX + 1);
    is_garbage(b"M7", Some(in_memory(b"[\"one\"]").unwrap().as_fd()), 1);
    is_garbage(b"M8", Some(in_memory(b"{needle}").unwrap().as_fd()), 1);
    is_garbage(b"M0", Some(in_memory(b"").unwrap().as_fd()), 1);
    for seals in [SealFlags::SHRINK | SealFlags::GROW, SealFlags::WRITE, SealFlags::SEAL] {
        let mut memory = File::from(new_memory("test").unwrap());
        memory.write_all(document).unwrap();
        fcntl_add_seals(&memory, seals).unwrap();
        is_garbage(b"M12", Some(memory.as_fd()), 1);
    }
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(document).unwrap();
    is_garbage(b"M12", Some(file.as_fd()), 1);
    let large = File::from(new_memory("test").unwrap());
    large.set_len(1 << 40).unwrap();
    fcntl_add_seals(&large, LAST_WORD).unwrap();
    is_garbage(format!("M{}", 1_u64 << 40).as_bytes(), Some(large.as_fd()), 1);

    let (raw, wire) = pair().map(|(raw, end)| (Wire::new(raw).unwrap(), Wire::new(end).unwrap())).unwrap();
    raw.send_packet(b"M12", &[good.as_fd()]).unwrap();
    assert_eq!(wire.receive::<Value>().unwrap().unwrap().0, json!({"needle": 1}));
}

#[test]
fn the_end_of_the_peer_comes_after_its_messages() {
    let (agent, worker) = wires();
    // Not read by the worker, so that its end is a reset.
    agent.send(&json!({"cancel": 1}), &[]).unwrap();
    worker.send(&json!({"done": 1}), &[]).unwrap();
    drop(worker);
    assert_eq!(agent.receive::<Value>().unwrap().unwrap().0, json!({"done": 1}));
    assert!(agent.receive::<Value>().unwrap().is_none());
    assert!(agent.receive::<Value>().unwrap().is_none());
    let error = agent.send(&json!({}), &[]).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Crashed, "worker-gone"));

    let (agent, worker) = wires();
    let receiver = thread::spawn(move || agent.receive::<Value>().unwrap().is_none());
    thread::sleep(Duration::from_millis(20));
    drop(worker);
    assert!(receiver.join().unwrap());

    let (agent, worker) = wires();
    shutdown(worker.descriptor(), Shutdown::Write).unwrap();
    assert_eq!(agent.receive::<Value>().unwrap_err().code(), "wire-garbage");
    agent.send(&json!({"still": "heard"}), &[]).unwrap();
    shutdown(worker.descriptor(), Shutdown::Read).unwrap();
    assert_eq!(agent.send(&json!({}), &[]).unwrap_err().code(), "worker-gone");
}

#[test]
fn an_empty_packet_is_not_the_end() {
    let (agent, worker) = wires();
    send(worker.descriptor(), &[], SendFlags::empty()).unwrap();
    assert_eq!(agent.receive::<Value>().unwrap_err().code(), "wire-garbage");
    worker.send(&json!({}), &[]).unwrap();
    assert!(agent.receive::<Value>().unwrap().is_some());
}

#[test]
fn many_threads_send_at_once() {
    const EACH: usize = 200;
    let (agent, worker) = wires();
    let mut seen = vec![0; 4];
    thread::scope(|scope| {
        for number in 0..seen.len() {
            let agent = &agent;
            scope.spawn(move || {
                for count in 0..EACH {
                    // Every tenth is too long for a packet.
                    let text = "x".repeat(if count % 10 == 0 { 50_000 } else { count * 100 });
                    agent.send(&json!({"from": number, "count": count, "text": text}), &[]).unwrap();
                }
            });
        }
        for _ in 0..seen.len() * EACH {
            let (message, _) = worker.receive::<Value>().unwrap().unwrap();
            let from = message["from"].as_u64().unwrap() as usize;
            assert_eq!(message["count"], json!(seen[from]));
            seen[from] += 1;
        }
    });
    assert_eq!(seen, vec![EACH; 4]);
}

#[test]
fn a_peer_that_never_reads_holds_nobody_up() {
    let (mut agent, worker) = wires();
    agent.patience = Duration::from_millis(50);
    let message = json!({"text": "x".repeat(30_000)});
    let error = (0..1000).find_map(|_| agent.send(&message, &[]).err()).unwrap();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Crashed, "wire-blocked"));
    // Nothing was cut: what it was sent is there.
    assert_eq!(worker.receive::<Value>().unwrap().unwrap().0, message);
}

use std::fs::File;
use std::io::Write;
use std::thread;

use rustix::fs::{SealFlags, fcntl_add_seals};

use super::*;

fn lane(slots: u32) -> (Producer, Consumer) {
    let (one, two) = make(slots).unwrap();
    (Producer::open(one).unwrap(), Consumer::open(two).unwrap())
}

/// Both counters as after 2^32 slots less a few.
fn aged_lane(slots: u32, age: u32) -> (Producer, Consumer) {
    let (mut producer, mut consumer) = lane(slots);
    for side in [&mut producer.side, &mut consumer.side] {
        side.passed = age;
        side.mapping.header().produced.store(age, Ordering::Relaxed);
        side.mapping.header().consumed.store(age, Ordering::Relaxed);
    }
    (producer, consumer)
}

fn patient(cancel: &Cancel) -> Wait<'_> {
    Wait { cancel, other: None, until: Instant::now().checked_add(Duration::from_secs(60)) }
}

/// Does not wait at all.
fn impatient(cancel: &Cancel) -> Wait<'_> {
    Wait { cancel, other: None, until: Some(Instant::now()) }
}

/// Numbers that look random, the same in each run.
fn numbers(mut state: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    }
}

fn pattern(len: usize) -> Vec<u8> {
    let mut number = numbers(7);
    (0..len).map(|_| number(256) as u8).collect()
}

fn put_all(producer: &mut Producer, mut bytes: &[u8], mut piece: impl FnMut() -> usize) {
    let cancel = Cancel::new().unwrap();
    while !bytes.is_empty() {
        let most = piece().clamp(1, bytes.len());
        let count = producer.put(&bytes[..most], &patient(&cancel)).unwrap();
        bytes = &bytes[count..];
    }
    producer.flush().unwrap();
}

fn take_until_gone(consumer: &mut Consumer, mut piece: impl FnMut() -> usize) -> Vec<u8> {
    let cancel = Cancel::new().unwrap();
    let mut all = Vec::new();
    let mut buffer = vec![0; 2 * SLOT];
    loop {
        let most = piece().clamp(1, buffer.len());
        match consumer.take(&mut buffer[..most], &patient(&cancel)) {
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(Stop::Gone) => return all,
            Err(stop) => panic!("{stop:?}"),
        }
    }
}

#[test]
fn bytes_come_in_order_whatever_the_sizes() {
    for slots in [2, 3, 16] {
        let (mut producer, mut consumer) = lane(slots);
        let sent = pattern(9 * SLOT + 12_345);
        let copy = sent.clone();
        let there = thread::spawn(move || {
            let mut number = numbers(1);
            put_all(&mut producer, &copy, || number(SLOT + SLOT / 2));
        });
        let mut number = numbers(2);
        assert!(take_until_gone(&mut consumer, || number(SLOT)) == sent);
        there.join().unwrap();
    }
}

#[test]
fn slots_can_be_filled_in_place() {
    let (mut producer, mut consumer) = lane(2);
    let there = thread::spawn(move || {
        let cancel = Cancel::new().unwrap();
        for round in 0..100_u8 {
            let slot = producer.slot(&patient(&cancel)).unwrap();
            assert_eq!(slot.len(), SLOT);
            slot[..1000].fill(round);
            producer.hand_over(1000).unwrap();
        }
    });
    let all = take_until_gone(&mut consumer, || 300);
    there.join().unwrap();
    assert!(all.chunks(1000).zip(0..).all(|(chunk, round)| chunk.iter().all(|&byte| byte == round)));
    assert_eq!(all.len(), 100_000);
}

#[test]
fn counters_wrap() {
    for slots in [2, 3, 5] {
        let (mut producer, mut consumer) = aged_lane(slots, u32::MAX - 7);
        let sent = pattern(20 * 1000);
        let copy = sent.clone();
        let there = thread::spawn(move || {
            for piece in copy.chunks(1000) {
                put_all(&mut producer, piece, || SLOT);
            }
            assert_eq!(producer.side.passed, 12);
        });
        assert!(take_until_gone(&mut consumer, || SLOT) == sent);
        there.join().unwrap();
    }
}

#[test]
fn a_full_ring_holds_the_producer_and_an_empty_one_the_consumer() {
    let cancel = Cancel::new().unwrap();
    let (mut producer, mut consumer) = lane(3);
    assert!(!consumer.has_bytes().unwrap());
    assert_eq!(consumer.take(&mut [0; 9], &impatient(&cancel)), Err(Stop::TimedOut));
    for _ in 0..3 {
        producer.slot(&impatient(&cancel)).unwrap()[0] = 9;
        producer.hand_over(1).unwrap();
    }
    assert_eq!(producer.slot(&impatient(&cancel)).err(), Some(Stop::TimedOut));
    assert_eq!(producer.put(b"more", &impatient(&cancel)), Err(Stop::TimedOut));
    assert_eq!(producer.hand_over(1).unwrap_err().code(), "ring-misused");
    assert!(consumer.has_bytes().unwrap());
    assert_eq!(consumer.take(&mut [0; 9], &impatient(&cancel)), Ok(1));
    assert_eq!(producer.put(b"more", &impatient(&cancel)), Ok(4));
    assert_eq!(producer.put(b"", &impatient(&cancel)), Ok(0));
    for len in [0, SLOT + 1, usize::MAX] {
        assert_eq!(producer.hand_over(len).unwrap_err().code(), "ring-misused");
    }
}

#[test]
fn a_bell_that_nobody_listens_to_blocks_nobody() {
    let cancel = Cancel::new().unwrap();
    let (mut producer, mut consumer) = lane(2);
    for round in 0..2000_u32 {
        producer.put(&round.to_le_bytes(), &impatient(&cancel)).unwrap();
        producer.flush().unwrap();
        let mut back = [0; 8];
        assert_eq!(consumer.take(&mut back, &impatient(&cancel)), Ok(4));
        assert_eq!(back[..4], round.to_le_bytes());
    }
    assert_eq!(consumer.take(&mut [0; 8], &impatient(&cancel)), Err(Stop::TimedOut));
}

#[test]
fn every_wait_can_be_ended() {
    let (mut producer, mut consumer) = lane(2);
    let cancel = Cancel::new().unwrap();
    let (theirs, other) = nix::unistd::pipe().unwrap();
    let wait = |until| Wait { cancel: &cancel, other: Some(theirs.as_fd()), until };
    assert_eq!(consumer.take(&mut [0; 1], &wait(Some(Instant::now()))), Err(Stop::TimedOut));
    let soon = Instant::now() + Duration::from_millis(20);
    assert_eq!(consumer.take(&mut [0; 1], &wait(Some(soon))), Err(Stop::TimedOut));
    assert!(Instant::now() >= soon);
    // The bytes that came before the end of the peer are had first.
    producer.put(b"last", &wait(None)).unwrap();
    producer.flush().unwrap();
    drop(other);
    assert_eq!(consumer.take(&mut [0; 9], &wait(None)), Ok(4));
    assert_eq!(consumer.take(&mut [0; 9], &wait(None)), Err(Stop::Other));
    let deadline = cancel.clone().with_deadline(Some(Instant::now() + Duration::from_millis(20)));
    assert_eq!(consumer.take(&mut [0; 9], &Wait { cancel: &deadline, other: None, until: None }), Err(Stop::Cancelled));
    assert_eq!(producer.put(b"x", &wait(None)), Err(Stop::Cancelled));
}

#[test]
fn a_sleeping_side_is_woken() {
    let (mut producer, mut consumer) = lane(2);
    let cancel = Cancel::new().unwrap();
    let token = cancel.clone();
    let sleeper = thread::spawn(move || {
        let first = consumer.take(&mut [0; 4], &Wait { cancel: &token, other: None, until: None });
        (first, consumer.take(&mut [0; 4], &Wait { cancel: &token, other: None, until: None }))
    });
    thread::sleep(Duration::from_millis(20));
    producer.put(b"news", &patient(&cancel)).unwrap();
    producer.flush().unwrap();
    thread::sleep(Duration::from_millis(20));
    cancel.cancel();
    assert_eq!(sleeper.join().unwrap(), (Ok(4), Err(Stop::Cancelled)));
}

#[test]
fn the_other_end_closing_ends_a_wait_after_its_last_bytes() {
    let cancel = Cancel::new().unwrap();
    let (mut producer, mut consumer) = lane(2);
    producer.put(b"last", &patient(&cancel)).unwrap();
    producer.flush().unwrap();
    drop(producer);
    assert_eq!(consumer.take(&mut [0; 9], &patient(&cancel)), Ok(4));
    assert_eq!(consumer.take(&mut [0; 9], &patient(&cancel)), Err(Stop::Gone));
    let (mut producer, consumer) = lane(2);
    drop(consumer);
    put_all(&mut producer, &pattern(2 * SLOT), || SLOT);
    assert_eq!(producer.put(b"more", &patient(&cancel)), Err(Stop::Gone));
}

#[track_caller]
fn is_lie<T>(outcome: Result<T, Stop>) {
    match outcome {
        Err(Stop::Failed(error)) => {
            assert_eq!((error.kind(), error.code()), (ErrorKind::Crashed, "ring-lied"));
            assert_eq!(error.scope(), landfall_handler_api::Scope::Handler);
        }
        _ => panic!("the lie was believed"),
    }
}

#[test]
fn a_producer_that_lies_is_found_out() {
    let cancel = Cancel::new().unwrap();
    for count in [4, 100, u32::MAX, 1 << 31] {
        let (producer, mut consumer) = lane(3);
        producer.side.mapping.header().produced.store(count, Ordering::Relaxed);
        is_lie(consumer.take(&mut [0; 9], &impatient(&cancel)));
        assert_eq!(consumer.has_bytes().unwrap_err().code(), "ring-lied");
        assert_eq!(consumer.drain().unwrap_err().code(), "ring-lied");
    }
    for length in [0, SLOT as u32 + 1, u32::MAX] {
        let (mut producer, mut consumer) = lane(3);
        producer.put(b"bytes", &impatient(&cancel)).unwrap();
        producer.flush().unwrap();
        producer.side.mapping.header().lengths[0].store(length, Ordering::Relaxed);
        is_lie(consumer.take(&mut [0; 9], &impatient(&cancel)));
    }
    // Backwards, behind what was taken.
    let (mut producer, mut consumer) = lane(3);
    put_all(&mut producer, b"bytes", || 5);
    assert_eq!(consumer.take(&mut [0; 9], &impatient(&cancel)), Ok(5));
    producer.side.mapping.header().produced.store(0, Ordering::Relaxed);
    is_lie(consumer.take(&mut [0; 9], &impatient(&cancel)));
}

#[test]
fn what_changes_after_it_was_handed_over_changes_only_what_is_not_yet_taken() {
    let cancel = Cancel::new().unwrap();
    let (mut producer, mut consumer) = lane(2);
    put_all(&mut producer, &[1; 100], || 100);
    let mut first = [0; 60];
    assert_eq!(consumer.take(&mut first, &impatient(&cancel)), Ok(60));
    producer.side.mapping.header().lengths[0].store(u32::MAX, Ordering::Relaxed);
    producer.side.mapping.copy_in(0, 0, &[2; SLOT]);
    let mut second = [0; 60];
    assert_eq!(consumer.take(&mut second, &impatient(&cancel)), Ok(40));
    assert_eq!((first, &second[..40]), ([1; 60], [2; 40].as_slice()));
}

#[test]
fn a_consumer_that_lies_is_found_out() {
    let cancel = Cancel::new().unwrap();
    for count in [1, 3, u32::MAX - 2, 1 << 31] {
        let (mut producer, consumer) = lane(2);
        consumer.side.mapping.header().consumed.store(count, Ordering::Relaxed);
        is_lie(producer.put(b"bytes", &impatient(&cancel)));
    }
}

#[test]
fn nobody_reads_its_own_counter_back() {
    let cancel = Cancel::new().unwrap();
    let (mut producer, mut consumer) = lane(2);
    put_all(&mut producer, b"one", || 3);
    consumer.side.mapping.header().produced.store(77, Ordering::Relaxed);
    producer.side.mapping.header().consumed.store(0, Ordering::Relaxed);
    put_all(&mut producer, b"two", || 3);
    let mut buffer = [0; 9];
    assert_eq!(consumer.take(&mut buffer, &impatient(&cancel)), Ok(3));
    producer.side.mapping.header().consumed.store(99, Ordering::Relaxed);
    assert_eq!(consumer.take(&mut buffer, &impatient(&cancel)), Ok(3));
    assert_eq!(buffer[..3], *b"two");
    put_all(&mut producer, b"three", || 5);
}

#[test]
fn a_drained_lane_serves_again() {
    let cancel = Cancel::new().unwrap();
    let (mut producer, mut consumer) = lane(3);
    put_all(&mut producer, b"stale bytes", || 11);
    assert_eq!(consumer.take(&mut [0; 5], &impatient(&cancel)), Ok(5));
    put_all(&mut producer, b"more of them", || 12);
    producer.put(b"not even handed over", &impatient(&cancel)).unwrap();
    producer.discard();
    consumer.drain().unwrap();
    assert!(!consumer.has_bytes().unwrap());
    let sent = pattern(3 * SLOT);
    put_all(&mut producer, &sent, || SLOT);
    drop(producer);
    assert!(take_until_gone(&mut consumer, || SLOT) == sent);
}

#[test]
fn only_sealed_memory_of_the_right_size_is_mapped() {
    let all = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    let right = 4096 + 2 * SLOT as u64;
    let cases = [
        (right, all, true),
        (right, SealFlags::SHRINK | SealFlags::GROW, false),
        (right, SealFlags::SHRINK | SealFlags::SEAL, false),
        (right, SealFlags::GROW | SealFlags::SEAL, false),
        (right, all | SealFlags::WRITE, false),
        (right, SealFlags::empty(), false),
        (right - 1, all, false),
        (right + 4096, all, false),
        (0, all, false),
        (4096 + SLOT as u64, all, false),
        (4096 + 17 * SLOT as u64, all, false),
        (1 << 40, all, false),
    ];
    for (size, seals, good) in cases {
        let (parts, _other) = make(2).unwrap();
        let memory = File::from(new_memory("test").unwrap());
        memory.set_len(size).unwrap();
        if !seals.is_empty() {
            fcntl_add_seals(&memory, seals).unwrap();
        }
        let opened = Consumer::open(LaneParts { memory: memory.into(), bell: parts.bell });
        assert_eq!(opened.is_ok(), good, "{size} {seals:?}");
    }
}

#[test]
fn descriptors_of_other_kinds_are_refused() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&vec![0; 4096 + 2 * SLOT]).unwrap();
    let (parts, other) = make(2).unwrap();
    let opened = Producer::open(LaneParts { memory: file.try_clone().unwrap().into(), bell: parts.bell });
    assert_eq!(opened.err().unwrap().code(), "ring-refused");
    let opened = Consumer::open(LaneParts { memory: other.memory, bell: file.into() });
    assert_eq!(opened.err().unwrap().code(), "ring-refused");
    let (stream, _other) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    let opened = Consumer::open(LaneParts { memory: parts.memory, bell: stream });
    assert_eq!(opened.err().unwrap().code(), "ring-refused");
    for slots in [0, 1, 17, u32::MAX] {
        assert_eq!(make(slots).unwrap_err().code(), "ring-misused");
    }
}

#[test]
fn both_descriptors_are_passed_in_order_and_closed_on_exec() {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    use std::os::fd::AsRawFd;
    let (parts, _other) = make(4).unwrap();
    assert_eq!(parts.as_fds().map(|fd| fd.as_raw_fd()), [parts.memory.as_raw_fd(), parts.bell.as_raw_fd()]);
    for descriptor in parts.as_fds() {
        let flags = FdFlag::from_bits_truncate(fcntl(descriptor, FcntlArg::F_GETFD).unwrap());
        assert!(flags.contains(FdFlag::FD_CLOEXEC));
    }
}

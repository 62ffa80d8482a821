//! What a worker says to the agent: a message, or the end of the conversation, and nothing of it is believed.

use landfall::fuzzing::report;

use crate::knobs;

pub(crate) fn run(mut data: &[u8]) {
    let knobs = knobs::byte(&mut data);
    let (packet, document) = match knobs & 3 {
        // The document in memory, of the size that the packet says or of another one.
        1 => (format!("M{}", data.len()).into_bytes(), Some((data, knobs & 4 == 0))),
        2 => (knobs::part(&mut data).to_vec(), Some((data, knobs & 4 == 0))),
        _ => (data.get(..32 << 10).unwrap_or(data).to_vec(), None),
    };
    let Ok(Some((message, failure))) = report(&packet, document).inspect_err(|error| {
        assert!(["wire-garbage", "worker-gone"].contains(&error.code()), "{error}");
    }) else {
        return;
    };
    if let Some(error) = failure {
        assert!(error.code().bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')), "{error}");
        assert!(!error.message().contains(char::is_control), "{error:?}");
    }
    if message.len() <= 32 << 10 {
        let again = report(message.as_bytes(), None).expect("a message that was taken is taken again");
        assert_eq!(again.map(|(message, _)| message), Some(message));
    }
}

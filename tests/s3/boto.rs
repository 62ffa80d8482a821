//! boto3, in a process of its own for as long as a test wants objects of it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Ended when dropped.
pub(super) struct Boto {
    process: Child,
    /// Taken away to end it.
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Boto {
    /// For the store at this URL and this access key. `source` is the source tree.
    pub(super) fn start(source: &Path, endpoint: &str, access: &str) -> Self {
        // A machine's own settings are not this store's.
        let mut process = Command::new("/usr/bin/python3")
            .arg("-B")
            .arg(source.join("tests/s3/objects.py"))
            .args([endpoint, access])
            .env_clear()
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (questions, answers) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, questions, answers }
    }

    /// The answer to one of the script's actions. It ends by itself where an answer takes too long.
    #[track_caller]
    pub(super) fn ask(&mut self, words: &[&str]) -> String {
        let question = format!("{}\n", serde_json::to_string(words).unwrap());
        self.questions.as_ref().unwrap().write_all(question.as_bytes()).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        // Why it ended is on standard error.
        assert!(answer.ends_with('\n'), "boto3 ended without an answer to {words:?}");
        answer.trim().to_owned()
    }
}

impl Drop for Boto {
    fn drop(&mut self) {
        drop(self.questions.take());
        let _ = self.process.wait();
    }
}

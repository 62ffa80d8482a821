//! A watch over files that nobody has a reason to touch, by inotify: it sees every process, whatever path it takes.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::io::Errno;

/// Files and directories that are watched.
pub(super) struct Watch {
    inotify: OwnedFd,
    paths: Vec<(i32, PathBuf)>,
}

impl Watch {
    pub(super) fn new() -> Self {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        Self { inotify, paths: Vec::new() }
    }

    /// Sees whatever is done with `path`; of a directory, with what is in it too.
    pub(super) fn untouched(mut self, path: &Path) -> Self {
        self.add(path, WatchFlags::ALL_EVENTS);
        self
    }

    /// Sees whatever changes in a directory whose files are read.
    pub(super) fn unchanged(mut self, path: &Path) -> Self {
        let changes = WatchFlags::MODIFY | WatchFlags::ATTRIB | WatchFlags::CLOSE_WRITE;
        let names = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE;
        self.add(path, changes | names);
        self
    }

    fn add(&mut self, path: &Path, flags: WatchFlags) {
        let watch = inotify::add_watch(&self.inotify, path, flags);
        self.paths.push((watch.unwrap_or_else(|error| panic!("watch {}: {error}", path.display())), path.to_owned()));
    }

    /// What was done since the last time, a line each.
    pub(super) fn events(&self) -> Vec<String> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let mut lines = Vec::new();
        loop {
            match reader.next() {
                Ok(event) => {
                    let watched = self.paths.iter().find(|(watch, _)| *watch == event.wd());
                    let path = watched.map_or_else(|| "the queue".to_owned(), |(_, path)| path.display().to_string());
                    let name = event.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                    lines.push(format!("{:?} of {path} {name}", event.events()));
                }
                Err(Errno::AGAIN) => return lines,
                Err(error) => panic!("read events: {error}"),
            }
        }
    }
}

//! What a server was asked and what it served.

use super::request::Request;
use crate::support::seeded::Served;
use std::ops::Range;

/// Everything since the server began.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    /// Connections that were accepted.
    pub(crate) connections: usize,
    /// The most that were open at once.
    pub(crate) at_once: usize,
    /// In the order in which they came.
    pub(crate) requests: Vec<Request>,
    /// Bytes of any kind that the sockets took.
    pub(crate) sent: u64,
    /// By path: which bytes of the content the sockets took, true or not.
    served: Vec<(String, Range<u64>)>,
    /// Requests that met a lie.
    pub(crate) lies: usize,
    /// Bodies that were cut short by a lie after some of their bytes.
    pub(crate) broken_off: usize,
}

impl Counts {
    pub(super) fn connected(&mut self) -> usize {
        self.connections += 1;
        self.connections
    }

    pub(super) fn open_at_once(&mut self, now: usize) {
        self.at_once = self.at_once.max(now);
    }

    /// Gives the number of the request among all and among those of its path, from 0 on.
    pub(super) fn asked(&mut self, request: &Request) -> (usize, usize) {
        let of_path = self.of(&request.path).count();
        self.requests.push(request.clone());
        (self.requests.len() - 1, of_path)
    }

    pub(super) fn took(&mut self, path: &str, range: Range<u64>) {
        self.sent += range.end - range.start;
        match self.served.last_mut().filter(|(its, last)| its == path && last.end == range.start) {
            Some((_, last)) => last.end = range.end,
            None => self.served.push((path.to_owned(), range)),
        }
    }

    /// The socket did not take these after all.
    pub(super) fn took_not(&mut self, path: &str, range: &Range<u64>) {
        self.sent -= range.end - range.start;
        let last = self.served.iter_mut().rev().find(|(its, served)| its == path && served.end == range.end);
        if let Some((_, served)) = last {
            served.end = range.start;
        }
    }

    /// The requests for this path.
    pub(crate) fn of<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a Request> {
        self.requests.iter().filter(move |request| request.path == path)
    }

    /// The values of one header, of all requests that had it.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        self.requests.iter().filter_map(|request| request.header(name)).collect()
    }

    /// Bytes of the content that the sockets took, each as often as they did.
    pub(crate) fn sent_content(&self) -> u64 {
        self.served.iter().map(|(_, range)| range.end - range.start).sum()
    }

    /// What was served of the content, at whatever path.
    pub(crate) fn served(&self) -> Served {
        Served::of_ranges(self.served.iter().map(|(path, range)| (path.clone(), range.clone())))
    }
}

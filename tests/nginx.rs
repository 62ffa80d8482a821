//! Downloads from a real nginx: what it may offer and refuse, TLS with a private authority, limits of every kind, and what
//! happens to it in mid-download.

mod combined;
mod harbor;
mod interrupted;
mod limits;
mod plain;
mod tls;

use crate::support::case::Case;
use crate::support::nginx::NEEDS;
use crate::support::world::World;

type Test = fn(&World);

pub(crate) fn cases() -> Vec<Case> {
    let tests: [(&str, Test); 20] = [
        ("the_log_is_read_right", harbor::counting),
        ("whole_file", plain::whole),
        ("without_ranges", plain::without_ranges),
        ("without_etag", plain::without_etag),
        ("redirects", plain::redirects),
        ("answers_that_are_errors", plain::errors),
        ("tls_with_a_private_authority", tls::trusted),
        ("certificates_that_are_refused", tls::refused),
        ("no_way_back_from_tls", tls::downgrade),
        ("client_certificate", tls::client),
        ("rate_of_each_connection_bounded", limits::rate),
        ("connections_bounded", limits::connections),
        ("requests_bounded", limits::requests),
        ("killed_and_started_again", interrupted::again),
        ("killed_for_good", interrupted::for_good),
        ("replaced", interrupted::replaced),
        ("replaced_by_a_shorter_file", interrupted::shorter),
        ("truncated", interrupted::truncated),
        ("two_combined", combined::honest),
        ("two_combined_of_which_one_lies", combined::liar),
    ];
    let case = |(name, test): (&str, Test)| Case::new(format!("nginx::{name}"), test).needs(&NEEDS);
    let mut cases: Vec<Case> = tests.into_iter().map(case).collect();
    cases[0] = Case::new("nginx::the_log_is_read_right", harbor::counting).mode_independent();
    cases
}

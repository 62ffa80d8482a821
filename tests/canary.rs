//! Secrets of real downloads are found nowhere: not in what is printed, not in files, not in what can be seen of running
//! processes, not in cores, and not with servers that they are not for. Random ones are planted wherever a secret can be.

mod aviary;
mod controls;
mod failures;
mod processes;
mod servers;

use crate::support::case::Case;
use crate::support::needs::Need;
use crate::support::nginx::NEEDS;

pub(crate) fn cases() -> Vec<Case> {
    let cases = vec![
        Case::new("canary::found_where_it_is_planted", controls::all).mode_independent(),
        Case::new("canary::success", servers::success),
        Case::new("canary::the_next_origin_gets_no_credentials", servers::redirected),
        Case::new("canary::the_proxy_gets_its_own_credentials_alone", servers::proxied),
        Case::new("canary::failures", failures::all),
        Case::new("canary::plugin_crash", failures::crashed),
        Case::new("canary::arguments_and_environment", processes::running),
        Case::new("canary::no_core", processes::cores).needs(&[Need::Program("prlimit")]),
        Case::new("canary::memory_is_nobodys", processes::hidden).needs(&[Need::Root]),
    ];
    cases.into_iter().map(|case| case.needs(&NEEDS)).collect()
}

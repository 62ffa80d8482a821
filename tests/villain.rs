//! The villain: a plugin that does on command whatever a plugin can do wrong (`plugins/villain.c`). In a worker each deed is
//! one failed attempt with a name; the agent lives, the next attempt works, and nothing is left behind.

mod benched;
mod controls;
mod deeds;
mod inline;
mod jobs;
mod lab;
mod noise;

use crate::support::case::Case;
use crate::support::needs::Need;

use lab::Place;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Place::ALL
        .into_iter()
        .map(|place| Case::new(format!("villain::deeds_at_{}", place.name()), move |world| deeds::sweep(world, place)))
        .collect();
    cases.extend([
        Case::new("villain::every_deed_has_its_place", |_| deeds::counts()),
        Case::new("villain::writes_beyond_a_disk_are_refused", deeds::beyond),
        Case::new("villain::scribbled_bytes_are_never_placed", deeds::scribbled),
        Case::new("villain::every_deed_happens_where_nothing_stops_it", controls::all),
        Case::new("villain::many_jobs_leave_nothing", jobs::many),
        Case::new("villain::inline_fails_as_a_worker_does", inline::villain),
        Case::new("villain::inline_faults_are_a_workers_faults", inline::faults),
        Case::new("villain::crashes_bench_the_handler_for_the_image", benched::image),
        Case::new("villain::three_images_bench_the_handler", benched::handler),
        Case::new("villain::what_is_no_crash_benches_nobody", benched::nobody),
        Case::new("villain::the_bench_has_an_end", benched::end),
        Case::new("villain::a_flood_of_lines_is_cut", noise::flood),
        Case::new("villain::secrets_stay_with_the_worker", noise::secrets),
    ]);
    // They choose themselves where their plugins run.
    cases.into_iter().map(|case| case.needs(&[Need::Program("cc")]).mode_independent()).collect()
}

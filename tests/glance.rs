//! Images by their UUID: real Keystone, Glance and Swift.

mod agent;
mod logins;
mod orders;
mod outages;
mod questions;
mod refusals;
mod secrets;
mod site;

use crate::support::case::Case;
use crate::support::mounts::Fs;
use crate::support::needs::Need;
use crate::support::nginx;
use crate::support::openstack::NEEDS;
use crate::support::world::World;

type Test = fn(&World);

pub(crate) fn cases() -> Vec<Case> {
    let both: [(&str, Test); 21] = [
        ("from_swift_by_its_uuid", orders::from_swift_by_its_uuid),
        ("from_the_file_store_without_a_copy_through_glance", orders::from_the_file_store),
        ("a_large_object_of_glance_s_own_making", orders::large_object),
        ("weights_come_back_as_strings_and_order_for_each_node", orders::weights),
        ("by_store_and_by_its_type", orders::stores),
        ("locations_that_only_services_see", orders::hidden),
        ("the_last_resort_is_last_and_for_glance_s_images_alone", orders::last_resort),
        ("a_site_that_never_falls_back", orders::never_fallback),
        ("every_way_to_log_in", logins::every_way),
        ("logins_of_the_configuration", logins::tables),
        ("no_secret_is_shown_or_kept", secrets::of_runs),
        ("no_secret_is_seen_of_processes", secrets::of_processes),
        ("who_may_not_see_it_does_not_get_it", refusals::who_may_not),
        ("a_token_that_has_expired", refusals::expired),
        ("images_that_are_not_active", refusals::not_active),
        ("bytes_that_were_tampered_with", refusals::tampered),
        ("bytes_that_are_gone", refusals::gone),
        ("one_after_the_other_is_down", outages::one_by_one),
        ("another_catalog_has_it", outages::another_catalog),
        ("glance_is_killed_in_its_own_download", outages::midway),
        ("the_agent_asks_with_each_caller_s_token", agent::tokens),
    ];
    let case = |(name, test): (&str, Test)| Case::new(format!("glance::{name}"), test).needs(&NEEDS);
    let clouds = [
        case(("clouds_that_cannot_be_right", refusals::clouds)).mode_independent(),
        case(("configuration_shows_clouds_without_secrets", logins::shown)).mode_independent(),
    ];
    let heard: [(&str, Test); 2] = [
        ("the_record_and_then_its_locations_are_asked_for", questions::record_then_locations),
        ("nothing_more_is_asked_for_strangers", questions::nothing_for_strangers),
    ];
    let heard = heard.into_iter().map(case).map(|case| case.needs(&nginx::NEEDS));
    let zero_copy = case(("a_clone_of_the_file_store_s_file", orders::zero_copy)).on(Fs::Xfs).needs(&[Need::Mount]);
    let segmented = case(("a_large_object_of_several_segments", orders::segmented)).worker_in_full();
    both.into_iter().map(case).chain(heard).chain([zero_copy, segmented]).chain(clouds).collect()
}

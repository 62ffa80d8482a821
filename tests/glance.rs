//! Images by their UUID: real Keystone, Glance and Swift.

mod logins;
mod orders;
mod outages;
mod refusals;
mod site;

use crate::support::case::Case;
use crate::support::openstack::NEEDS;
use crate::support::world::World;

type Test = fn(&World);

pub(crate) fn cases() -> Vec<Case> {
    let both: [(&str, Test); 12] = [
        ("from_swift_by_its_uuid", orders::from_swift_by_its_uuid),
        ("from_the_file_store_without_a_copy_through_glance", orders::from_the_file_store),
        ("a_large_object_of_glance_s_own_making", orders::large_object),
        ("weights_come_back_as_strings_and_order_for_each_node", orders::weights),
        ("by_store_and_by_its_type", orders::stores),
        ("locations_that_only_services_see", orders::hidden),
        ("the_last_resort_is_last_and_for_glance_s_images_alone", orders::last_resort),
        ("every_way_to_log_in", logins::every_way),
        ("no_secret_is_shown_or_kept", logins::no_secret),
        ("who_may_not_see_it_does_not_get_it", refusals::who_may_not),
        ("images_that_are_not_active", refusals::not_active),
        ("bytes_that_were_tampered_with", refusals::tampered),
    ];
    let alone: [(&str, Test); 2] =
        [("one_after_the_other_is_down", outages::one_by_one), ("another_catalog_has_it", outages::another_catalog)];
    let case = |(name, test): (&str, Test)| Case::new(format!("glance::{name}"), test).needs(&NEEDS);
    let clouds = [
        case(("clouds_that_cannot_be_right", refusals::clouds)).mode_independent(),
        case(("configuration_shows_clouds_without_secrets", logins::shown)).mode_independent(),
    ];
    both.into_iter().chain(alone).map(case).chain(clouds).collect()
}

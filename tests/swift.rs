//! Images in a real Swift: every kind of object, every form of location, every way to log in, and what happens to servers,
//! objects and tokens in mid-download.

mod appliance;
mod changes;
mod depot;
mod gateway;
mod interrupted;
mod logins;
mod objects;
mod refusals;
mod relay;
mod scrubbed;
mod secrets;
mod signed;
mod tokens;
mod unpacked;

use crate::differential;
use crate::support::case::Case;
use crate::support::world::World;
use crate::support::{nginx, observe, openstack};

type Test = fn(&World);

pub(crate) fn cases() -> Vec<Case> {
    let tests: [(&str, Test); 27] = [
        ("sizes", objects::sizes),
        ("manifests", objects::manifests),
        ("segments_are_fetched_straight", objects::straight),
        ("credentials_in_the_url", logins::in_the_url),
        ("references", logins::references),
        ("login_of_the_node", logins::of_the_node),
        ("login_of_clouds_yaml_and_environment", logins::of_clouds_yaml_and_environment),
        ("public_containers", signed::public),
        ("signed_with_the_operators_key", signed::operators_key),
        ("temporary_urls", signed::temporary_urls),
        ("credentials_that_are_refused", refusals::credentials),
        ("operators_credentials", refusals::operators_credentials),
        ("other_servers_see_no_token", refusals::other_servers),
        ("unknown_references", refusals::unknown_references),
        ("addresses", refusals::addresses),
        ("token_expires", tokens::renewed),
        ("token_of_swift_expires", tokens::renewed_by_swift),
        ("token_revoked", tokens::revoked),
        ("plain_object_changed", changes::plain),
        ("static_object_changed", changes::fixed),
        ("dynamic_object_changed", changes::dynamic),
        ("resumed", interrupted::resumed),
        ("failover", interrupted::failover),
        ("two_accounts_combined", interrupted::combined),
        ("secrets", secrets::kept),
        ("scrubbed", scrubbed::objects),
        ("scrubbed_again", scrubbed::again),
    ];
    let case = |(name, test): (&str, Test)| {
        Case::new(format!("swift::{name}"), test).needs(&openstack::NEEDS).needs(&nginx::NEEDS)
    };
    let long: [(&str, Test); 6] = [
        ("large", objects::large),
        ("tokens_that_have_expired", tokens::expired),
        ("names", objects::names),
        ("segments_elsewhere", objects::segments_elsewhere),
        ("proxy_killed_and_started_again", interrupted::killed),
        ("changed_behind_the_proxy", changes::through_the_proxy),
    ];
    let long = long.into_iter().map(case).map(Case::worker_in_full);
    let unpacking = |test: (&str, Test)| case(test).needs(&differential::NEEDS);
    let observed = |test: (&str, Test)| unpacking(test).needs(&observe::NEEDS);
    let unpacked = [
        unpacking(("unpacked", unpacked::every_form)),
        observed(("appliance_writes_its_disks_alone", appliance::disks_alone)),
        observed(("appliance_with_a_wrong_manifest", appliance::wrong_manifest)),
        observed(("appliance_in_bounded_memory", appliance::memory)).mode_independent(),
    ];
    tests.into_iter().map(case).chain(long).chain(unpacked).collect()
}

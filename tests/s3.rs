//! Objects of S3: Swift's own S3 layer, and objects that boto3 made.

mod boto;
mod bucket;
mod changes;
mod failover;
mod front;
mod keys;
mod objects;
mod promises;
mod refusals;
mod scrubbed;
mod secrets;

use crate::support::case::Case;
use crate::support::needs::Need;
use crate::support::world::World;
use crate::support::{nginx, openstack};

type Test = fn(&World);

pub(crate) fn cases() -> Vec<Case> {
    let tests: [(&str, Test); 12] = [
        ("sizes", objects::sizes),
        ("parts", objects::parts),
        ("large_object_in_ranges", objects::large),
        ("operators_keys", keys::operators),
        ("refusals", refusals::named),
        ("nobody", refusals::nobody),
        ("object_replaced", changes::replaced),
        ("object_replaced_behind_an_open_connection", changes::replaced_at_once),
        ("failover", failover::from_the_beginning),
        ("failover_in_the_middle", failover::in_the_middle),
        ("secrets", secrets::kept),
        ("scrubbed", scrubbed::objects),
    ];
    let check: (&str, Test) = ("promises", promises::kept);
    let case = |(name, test): (&str, Test)| {
        Case::new(format!("s3::{name}"), test).needs(&openstack::NEEDS).needs(&nginx::NEEDS).needs(&[Need::Boto])
    };
    tests.into_iter().map(case).chain([case(check).mode_independent()]).collect()
}

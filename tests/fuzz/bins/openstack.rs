#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| landfall_fuzz_targets::target("openstack")(data));

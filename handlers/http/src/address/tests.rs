use proptest::prelude::*;

use super::*;

fn policy(entries: &[&str]) -> AddressPolicy {
    AddressPolicy::new(&entries.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>()).unwrap()
}

fn refusal(entries: &[&str], address: &str) -> Option<Place> {
    policy(entries).refusal(address.parse().unwrap())
}

#[test]
fn what_only_this_machine_reaches_is_refused() {
    for (address, expected) in [
        ("127.0.0.1", Some(Place::Loopback)),
        ("127.255.255.254", Some(Place::Loopback)),
        ("::1", Some(Place::Loopback)),
        ("0.0.0.0", Some(Place::Unspecified)),
        ("0.1.2.3", Some(Place::Unspecified)),
        ("::", Some(Place::Unspecified)),
        ("169.254.0.1", Some(Place::LinkLocal)),
        ("fe80::1", Some(Place::LinkLocal)),
        ("febf:ffff::1", Some(Place::LinkLocal)),
        ("fec0::1", None),
        ("169.254.169.254", Some(Place::Metadata)),
        ("100.100.100.200", Some(Place::Metadata)),
        ("168.63.129.16", Some(Place::Metadata)),
        ("192.0.0.192", Some(Place::Metadata)),
        ("fd00:ec2::254", Some(Place::Metadata)),
        ("224.0.0.1", Some(Place::Multicast)),
        ("239.255.255.255", Some(Place::Multicast)),
        ("ff02::1", Some(Place::Multicast)),
        ("255.255.255.255", Some(Place::Broadcast)),
        // Image stores.
        ("10.0.0.1", None),
        ("192.168.1.1", None),
        ("172.16.0.1", None),
        ("100.64.0.1", None),
        ("fd00::1", None),
        ("fc00::1", None),
        ("93.184.216.34", None),
        ("2606:2800:220:1::1", None),
        ("126.255.255.255", None),
        ("128.0.0.1", None),
        ("169.253.255.255", None),
        ("169.255.0.1", None),
    ] {
        assert_eq!(refusal(&[], address), expected, "{address}");
    }
}

#[test]
fn an_address_inside_another_counts() {
    for (address, expected) in [
        ("::ffff:127.0.0.1", Some(Place::Loopback)),
        ("::ffff:169.254.169.254", Some(Place::Metadata)),
        ("::ffff:10.0.0.1", None),
        ("::127.0.0.1", Some(Place::Loopback)),
        ("::2", Some(Place::Unspecified)),
        ("::10.0.0.1", None),
        ("::ffff:0:127.0.0.1", Some(Place::Loopback)),
        ("64:ff9b::127.0.0.1", Some(Place::Loopback)),
        ("64:ff9b::169.254.169.254", Some(Place::Metadata)),
        ("64:ff9b::8.8.8.8", None),
        ("64:ff9b:1::127.0.0.1", Some(Place::Loopback)),
        ("2002:7f00:1::", Some(Place::Loopback)),
        ("2002:a9fe:a9fe::1", Some(Place::Metadata)),
        ("2002:808:808::1", None),
        // Teredo: server 127.0.0.1; then server 8.8.8.8 and client 127.0.0.1.
        ("2001:0:7f00:1::", Some(Place::Loopback)),
        ("2001:0:808:808:0:0:80ff:fffe", Some(Place::Loopback)),
        ("2001:0:808:808:0:0:f7f7:f7f7", None),
        ("2001:db8:7f00:1::", None),
    ] {
        assert_eq!(refusal(&[], address), expected, "{address}");
    }
}

#[test]
fn operators_allow_by_word_address_and_network() {
    for (entries, address, expected) in [
        (&["loopback"][..], "127.0.0.1", None),
        (&["loopback"], "::1", None),
        (&["loopback"], "::ffff:127.0.0.1", None),
        (&["loopback"], "169.254.0.1", Some(Place::LinkLocal)),
        (&["link-local"], "fe80::1", None),
        // The worst of all links is to be named by itself.
        (&["link-local"], "169.254.169.254", Some(Place::Metadata)),
        (&["metadata"], "169.254.169.254", None),
        (&["metadata"], "169.254.169.253", Some(Place::LinkLocal)),
        (&["127.0.0.1"], "127.0.0.1", None),
        (&["127.0.0.1"], "127.0.0.2", Some(Place::Loopback)),
        (&["127.0.0.1"], "64:ff9b::127.0.0.1", None),
        (&["127.0.0.0/8"], "127.9.9.9", None),
        (&["127.0.0.0/30"], "127.0.0.4", Some(Place::Loopback)),
        (&["fe80::/10"], "febf::1", None),
        (&["0.0.0.0/0"], "169.254.169.254", None),
        (&["0.0.0.0/0"], "::1", Some(Place::Loopback)),
        (&["::/0"], "::1", None),
        (&["10.0.0.0/8", "loopback"], "127.0.0.1", None),
    ] {
        assert_eq!(refusal(entries, address), expected, "{entries:?} {address}");
    }
}

#[test]
fn entries_are_read_strictly() {
    for entry in [
        "",
        " ",
        "localhost",
        "Loopback",
        "127.0.0.1/33",
        "::1/129",
        "127.0.0.1/8",
        "fe80::1/10",
        "127.0.0.0/",
        "127.0.0.0/+8",
        "127.0.0.0/08",
        "127.0.0.0/8/8",
        "127.1",
        "2130706433",
        "[::1]",
        "fe80::1%lo",
        "0x7f.0.0.1",
        "10.0.0.0/8 ",
        "/8",
        "01.0.0.0/8",
    ] {
        let error = AddressPolicy::new(&[entry.to_owned()]).unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, "config-allow-addresses"), "{entry:?}");
    }
}

proptest! {
    #[test]
    fn any_entry_is_read_or_refused(entry in "\\PC*") {
        let _ = parse(&entry);
    }

    #[test]
    fn a_network_has_what_begins_like_it(address: u32, base: u32, length in 0u8..=32) {
        let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
        let base = IpAddr::V4(Ipv4Addr::from_bits(base & mask));
        let address = Ipv4Addr::from_bits(address);
        prop_assert_eq!(within(IpAddr::V4(address), base, length), u128::from(address.to_bits() & mask) == bits(base));
    }

    #[test]
    fn mapped_addresses_are_judged_as_what_they_hold(address: u32) {
        let inner = Ipv4Addr::from_bits(address);
        let policy = AddressPolicy::default();
        prop_assert_eq!(policy.refusal(IpAddr::V6(inner.to_ipv6_mapped())), policy.refusal(IpAddr::V4(inner)));
    }
}

#[test]
fn an_address_of_this_machine_is_this_machine() {
    assert!(is_own("127.0.0.1".parse().unwrap()));
    // Of documentation: nobody's.
    let nobody: IpAddr = "192.0.2.1".parse().unwrap();
    assert!(!is_own(nobody));
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    if socket.connect((nobody, 9)).is_err() {
        // It has no other address than the loopback's.
        return;
    }
    let own = socket.local_addr().unwrap().ip();
    assert!(is_own(own), "{own}");
    assert_eq!(policy(&[]).refusal(own), Some(Place::Loopback));
    assert_eq!(policy(&["loopback"]).refusal(own), None);
    assert_eq!(policy(&[&own.to_string()]).refusal(own), None);
}

use std::net::IpAddr;

use super::*;
use crate::config::{Config, Flags};

fn limits(change: impl FnOnce(&mut LimitSettings)) -> Arc<Limits> {
    let mut settings = Config::load_with(&Flags::default(), &|_| None).unwrap().limits;
    change(&mut settings);
    Arc::new(Limits::new(&settings, 0))
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn hits(limits: &Limits, limit: Limit) -> u64 {
    limits.hits[limit as usize].load(Ordering::Relaxed)
}

#[test]
fn limits_are_listed_in_their_order() {
    for (index, limit) in Limit::ALL.into_iter().enumerate() {
        assert_eq!(limit as usize, index);
    }
}

#[test]
fn a_place_is_free_again_once_it_is_dropped() {
    let limits = limits(|settings| settings.connections = 2);
    let one = address("192.0.2.1");
    let held: Vec<_> = (0..2).map(|_| limits.connection(one).unwrap()).collect();
    assert_eq!(limits.connection(one).unwrap_err().limit, Limit::Connections);
    drop(held);
    assert!(limits.connection(one).is_ok());
    assert_eq!((limits.connections.taken(), hits(&limits, Limit::Connections)), (0, 1));
}

#[test]
fn a_client_that_has_enough_leaves_room_for_others() {
    let limits = limits(|settings| settings.client_runs = Some(1));
    let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|text| limits.connection(address(text)).unwrap());
    let run = limits.run(&one.1.account).unwrap();
    assert_eq!(limits.run(&one.1.account).unwrap_err().limit, Limit::ClientRuns);
    assert!(limits.run(&other.1.account).is_ok());
    drop(run);
    assert!(limits.run(&one.1.account).is_ok());
}

#[test]
fn a_run_keeps_its_place_until_its_last_copy_is_dropped() {
    let limits = limits(|settings| settings.runs = 1);
    let account = limits.accounts.others();
    let run = limits.run(&account).unwrap();
    let copy = run.clone();
    drop(run);
    assert_eq!(limits.run(&account).unwrap_err().limit, Limit::Runs);
    drop(copy);
    assert!(limits.run(&account).is_ok());
}

#[test]
fn whoever_has_an_address_of_ipv6_has_the_network_around_it() {
    assert_eq!(Client::at(address("2001:db8::1")), Client::at(address("2001:db8::ffff:1")));
    assert_ne!(Client::at(address("2001:db8::1")), Client::at(address("2001:db8:0:1::1")));
    assert_eq!(Client::at(address("::ffff:192.0.2.1")), Client::at(address("192.0.2.1")));
}

#[test]
fn a_bucket_is_emptied_at_once_and_fills_at_its_pace() {
    let (rate, account) = (rate::Rate::new(Some(10), 3), Account::default());
    let at = |millis| move || Duration::from_millis(millis);
    for _ in 0..3 {
        assert_eq!(rate.allow(&account, at(1000)), Ok(()));
    }
    assert_eq!(rate.allow(&account, at(1000)), Err(Duration::from_millis(100)));
    assert_eq!(rate.allow(&account, at(1099)), Err(Duration::from_millis(1)));
    assert_eq!(rate.allow(&account, at(1100)), Ok(()));
    assert!(rate.allow(&account, at(1100)).is_err());
    assert!(
        !account.bucket.is_full(Duration::from_millis(1399)) && account.bucket.is_full(Duration::from_millis(1400))
    );
}

#[test]
fn many_addresses_take_a_bounded_amount_of_memory() {
    let accounts = Accounts::new(true);
    let at = |number: u32| Client::at(IpAddr::V4(number.into()));
    let first = accounts.find(&at(0), || Duration::ZERO);
    let mut held = Vec::new();
    for number in 0..200_000 {
        held.push(accounts.find(&at(number), || Duration::ZERO));
    }
    assert_eq!(accounts.len(), 16 * 4096);
    assert!(Arc::ptr_eq(held.last().unwrap(), &accounts.others()));
    assert!(Arc::ptr_eq(&first, &accounts.find(&at(0), || Duration::ZERO)));
    // Those who are gone make room for others.
    drop(held);
    let later = || Duration::from_secs(2);
    let newcomer = accounts.find(&at(300_000), later);
    assert!(!Arc::ptr_eq(&newcomer, &accounts.others()));
    assert!(Arc::ptr_eq(&first, &accounts.find(&at(0), later)));
}

#[test]
fn clients_are_not_told_apart_where_nothing_asks_for_it() {
    let limits = limits(|_| {});
    drop(limits.connection(address("192.0.2.1")).unwrap());
    assert_eq!(limits.accounts.len(), 0);
}

#[test]
fn bodies_share_their_memory() {
    let limits = limits(|settings| settings.body_bytes = 100);
    let (one, other) = (limits.body(), limits.body());
    assert!(one.add(60) && !other.add(60) && other.add(40));
    drop(one);
    assert!(other.add(60));
}

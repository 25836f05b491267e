//! That the stage does what its scenes rely on.

use std::time::Instant;

use crate::stage::link::Link;
use crate::stage::resp::Resp;
use crate::stage::{Kind, Store, Way, Wish, ms, until};

fn over(link: &Link) -> Resp {
    Resp::to(link.address.port()).expect("a link takes everybody")
}

#[test]
fn a_link_goes_as_it_is_told() {
    let store = Store::start();
    let link = Link::to(store.address());
    let mut line = over(&link);
    assert_eq!(line.command("PING").expect("it is open"), "PONG");
    link.set(Way::Slow(ms(50)));
    let begin = Instant::now();
    line.command("PING").expect("it is only slow");
    assert!(begin.elapsed() >= ms(100), "there and back: {:?}", begin.elapsed());
    link.set(Way::Mute);
    let waits = std::thread::spawn(move || line.command("INCR heard").map(|answer| (line, answer)));
    until("the question is heard", || store.command("GET heard") == "1");
    assert!(!waits.is_finished(), "the answer is held back");
    link.set(Way::Silent);
    let mut other = over(&link);
    let never = std::thread::spawn(move || other.command("INCR silent"));
    assert_eq!(store.command("GET silent"), "");
    assert!(!never.is_finished());
    link.set(Way::Open);
    let (mut line, answer) = waits.join().expect("no ask panics").expect("it comes at last");
    assert_eq!((answer.as_str(), never.join().expect("no ask panics").expect("so does this").as_str()), ("1", "1"));
    link.set(Way::Torn);
    assert!(line.command("INCR torn").is_err());
    assert_eq!(store.command("GET torn"), "1");
    link.set(Way::Broken);
    assert!(over(&link).command("PING").is_err());
    link.set(Way::Open);
    let mut line = over(&link);
    line.command("PING").expect("it is open again");
    let next = Store::start();
    next.command("SET name next");
    link.lead(next.address());
    assert!(line.command("PING").is_err(), "it led somewhere else");
    assert_eq!(over(&link).command("GET name").expect("it leads here"), "next");
}

#[test]
fn a_store_is_stopped_killed_and_started_at_one_place() {
    let store = Store::start();
    store.command("SET name store");
    store.pause();
    let (address, begin) = (store.address(), Instant::now());
    let waits = std::thread::spawn(move || Resp::to(address.port())?.command("GET name"));
    until("time passes", || begin.elapsed() > ms(100));
    assert!(!waits.is_finished());
    store.go_on();
    assert_eq!(waits.join().expect("no ask panics").expect("an answer"), "store");
    store.kill();
    assert!(store.try_command("PING").is_err());
    store.launch();
    assert_eq!((store.command("GET name").as_str(), store.keys().len()), ("", 0));
}

#[test]
fn a_clock_is_set_while_it_runs() {
    let store = Store::with(Wish { kind: Kind::Valkey, clock: true, ..Wish::default() });
    let seconds = || store.command("TIME").lines().next().and_then(|time| time.parse::<i64>().ok()).expect("a time");
    let begin = seconds();
    for step in [3600, -3600, 0] {
        store.set_clock(step);
        until("the clock is set", || (seconds() - begin - step).abs() < 30);
        let scripts = store.command("EVAL return(redis.call('TIME')[1]) 0");
        assert!(scripts.parse::<i64>().is_ok_and(|scripts| (scripts - begin - step).abs() < 60), "{scripts}");
    }
}

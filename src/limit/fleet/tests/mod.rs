//! The parts together: the script against its model, and the whole in virtual time.

mod model;
mod queue;
mod script;
mod simulation;

use super::script::Micros;
use simulation::{Weather, World};

const SECOND: Micros = 1_000_000;

/// Runs worlds of these kinds, one seed after the other, until so many loads have started.
fn run_worlds(loads: u64, first_seed: u64, far: Micros, kinds: &[(u32, u32)]) {
    let weather = Weather { troubles: true, latency: 5_000, far };
    let (mut sum, mut seed) = (0, first_seed);
    while sum < loads {
        let (starts, replicas) = kinds[usize::try_from(seed).unwrap() % kinds.len()];
        let mut world = World::new(seed, starts, replicas, weather);
        world.run(120 * SECOND);
        (sum, seed) = (sum + world.started, seed + 1);
    }
    println!("seeds {first_seed} to {}: {sum} loads in {} s of virtual time", seed - 1, (seed - first_seed) * 120);
}

#[test]
fn whatever_breaks_no_window_holds_more_than_the_limit() {
    run_worlds(500_000, 1, 40_000, &[(20, 1), (20, 2), (20, 3), (20, 4), (20, 8), (50, 5), (5, 5), (7, 2)]);
}

/// Turns are for replicas that are near, as they start by the clock and not by promises.
#[test]
fn whatever_breaks_with_more_replicas_than_starts() {
    run_worlds(100_000, 1_000_000, 0, &[(20, 40), (1, 2), (3, 8), (19, 20)]);
}

#[test]
fn whatever_breaks_over_ten_million_loads() {
    run_worlds(10_000_000, 2_000_000, 40_000, &[(500, 4), (1_000, 3), (2_000, 5), (200, 20)]);
}

#[test]
fn in_fair_weather_the_fleet_starts_what_the_limit_allows() {
    let weather = Weather { troubles: false, latency: 2_000, far: 0 };
    let kinds = [(1, 1), (20, 1), (20, 4), (20, 40), (200, 8), (2_000, 3)];
    for (seed, (starts, replicas)) in (0..).zip(kinds) {
        let mut world = World::new(seed, starts, replicas, weather);
        world.run(10 * SECOND);
        let settled = world.started;
        world.run(60 * SECOND);
        let rate = (world.started - settled) as f64 / 60.0;
        println!("{starts} a second over {replicas}: {rate:.2}");
        assert!(rate >= f64::from(starts) * 0.95, "{starts} a second over {replicas}: only {rate}");
    }
}

/// A replica on the other side of the country costs a little of the rate, and never breaks a window.
#[test]
fn in_fair_weather_some_may_be_far_away() {
    for (seed, far) in (0..).zip([5_000, 20_000, 40_000, 70_000]) {
        let weather = Weather { troubles: false, latency: 2_000, far };
        let mut world = World::new(seed, 20, 6, weather);
        world.run(70 * SECOND);
        let rate = world.started as f64 / 70.0;
        println!("some {far} us away: {rate:.2}");
        assert!(rate >= 16.0, "some {far} us away: only {rate}");
    }
}

/// A replica of the server, or one whose memory is full: it tells the time, and nobody can be a member.
#[test]
fn a_server_that_only_answers_probes_is_none() {
    let mut world = World::new(1, 20, 4, Weather { troubles: false, latency: 2_000, far: 0 });
    world.run(10 * SECOND);
    world.refuse_writes();
    world.run(3 * SECOND);
    let before = world.started;
    world.run(20 * SECOND);
    let rate = (world.started - before) as f64 / 20.0;
    assert!(rate > 19.0, "all shares together: {rate}");
}

/// Whoever was away is back after one span, and then there is the whole limit at once.
#[test]
fn the_whole_limit_is_there_soon_after_a_cut() {
    let mut world = World::new(3, 40, 2, Weather { troubles: false, latency: 1_000, far: 0 });
    world.run(6 * SECOND);
    world.cut(0, true);
    world.run(6 * SECOND);
    world.cut(0, false);
    world.run(3 * SECOND);
    let before = world.started;
    world.run(5 * SECOND);
    let rate = (world.started - before) as f64 / 5.0;
    assert!(rate >= 38.0, "{rate}\n{}", world.starts_by_quarters());
}

//! The parts together: the script against its model, and the whole in virtual time.

mod model;
mod simulation;

use super::script::Micros;
use simulation::{Weather, World};

const SECOND: Micros = 1_000_000;

/// Runs such worlds until so many loads have started; returns how many, and the virtual seconds.
fn worlds(loads: u64, first_seed: u64, weather: Weather, starts: &[u32], replicas: &[u32]) -> (u64, i64) {
    let (mut sum, mut seconds, mut seed) = (0, 0, first_seed);
    while sum < loads {
        let mut dice = fastrand::Rng::with_seed(seed);
        let (starts, replicas) =
            (dice.choice(starts).copied().unwrap_or(20), dice.choice(replicas).copied().unwrap_or(4));
        let mut world = World::new(seed, starts, replicas, weather);
        world.run(120 * SECOND);
        (sum, seconds, seed) = (sum + world.started, seconds + 120, seed + 1);
    }
    println!("seeds {first_seed} to {}: {sum} loads in {seconds} s of virtual time", seed - 1);
    (sum, seconds)
}

#[test]
fn whatever_breaks_no_window_holds_more_than_the_limit() {
    let weather = Weather { troubles: true, latency: 5_000 };
    worlds(4_000_000, 1, weather, &[1, 3, 20, 20, 50, 200], &[1, 2, 3, 4, 5, 8]);
}

#[test]
fn in_fair_weather_the_fleet_starts_what_the_limit_allows() {
    let weather = Weather { troubles: false, latency: 2_000 };
    for (seed, (starts, replicas)) in [(1, 1), (20, 1), (20, 4), (20, 40), (200, 8), (2_000, 3)].into_iter().enumerate()
    {
        let mut world = World::new(seed as u64, starts, replicas, weather);
        world.run(10 * SECOND);
        let settled = world.started;
        world.run(60 * SECOND);
        let rate = (world.started - settled) as f64 / 60.0;
        println!("{starts} a second over {replicas}: {rate:.2}");
        assert!(rate >= f64::from(starts) * 0.95, "{starts} a second over {replicas}: only {rate}");
    }
}

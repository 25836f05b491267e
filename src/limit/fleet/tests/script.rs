//! `limit.lua` on a real Redis, held against its model, call by call.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::super::script::{Ask, Mode, Reply, Terms};
use super::super::wire::Arg;
use super::model::Server;

/// A server of a test's own, on a unix socket.
struct Redis {
    process: Child,
    connection: redis::Connection,
    _place: tempfile::TempDir,
}

impl Redis {
    fn start() -> Redis {
        let program = std::env::var("SIDEMINT_TEST_REDIS").expect("scripts/setup brings a redis-server");
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(program);
        let place = tempfile::tempdir().unwrap();
        let socket = place.path().join("redis.sock");
        let process = Command::new(&program)
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(place.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let client = redis::Client::open(format!("unix://{}", socket.display())).unwrap();
        let begin = Instant::now();
        let connection = loop {
            match client.get_connection() {
                Ok(connection) => break connection,
                Err(error) => assert!(begin.elapsed() < Duration::from_secs(10), "redis-server: {error}"),
            }
            std::thread::yield_now();
        };
        Redis { process, connection, _place: place }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The script, with a clock that the test sets, by the name that the server gave it.
fn load(redis: &mut Redis) -> String {
    let text = include_str!("../limit.lua");
    let asks = "redis.call('TIME')";
    assert_eq!(text.matches(asks).count(), 1);
    let text = text.replace(asks, "{math.floor(ARGV[#ARGV] / 1000000), ARGV[#ARGV] % 1000000}");
    redis::cmd("SCRIPT").arg("LOAD").arg(text).query(&mut redis.connection).unwrap()
}

fn random_ask(dice: &mut fastrand::Rng, now: i64) -> Ask {
    let mode = dice.choice([Mode::Take, Mode::Take, Mode::Take, Mode::Take, Mode::Join, Mode::Leave, Mode::Probe]);
    let slack = if dice.u8(0..10) == 0 { dice.i64(0..80_000) } else { 0 };
    let late = if dice.u8(0..50) == 0 { 200_000 } else { 20_000 };
    Ask {
        mode: mode.unwrap_or(Mode::Take),
        at: 0,
        sent: now - dice.i64(-2_000..late),
        epoch: 0,
        stepped: dice.u8(0..80) == 0,
        members: dice.i64(0..5),
        rank: dice.i64(-1..6),
        want: if dice.bool() { dice.u32(0..30) } else { 0 },
        held: dice.u32(0..30),
        lead: dice.i64(0..10_000),
        slack,
        tardy: 0,
        unsure: slack / 3,
    }
}

#[test]
fn the_script_does_what_its_model_does() {
    const SEED: u64 = 7;
    let mut dice = fastrand::Rng::with_seed(SEED);
    let mut redis = Redis::start();
    let script = load(&mut redis);
    let mut server = Server::default();
    let mut now = 1_795_000_000_000_000_i64;
    // What each of either kind knows, and which eras of the one are which of the other.
    let mut known: HashMap<u32, (i64, i64)> = HashMap::new();
    let mut eras: HashMap<i64, i64> = HashMap::new();
    let mut promised = 0;
    for step in 0..8_000 {
        now += match dice.u16(0..400) {
            0 => -dice.i64(0..10_000_000),
            1 => dice.i64(0..400_000_000),
            2..40 => dice.i64(0..600_000),
            _ => dice.i64(0..30_000),
        };
        server.run += u64::from(dice.u16(0..500) == 0);
        if dice.u16(0..500) == 0 {
            server.key = None;
            redis::cmd("FLUSHALL").exec(&mut redis.connection).unwrap();
        }
        let id = dice.u32(0..7);
        let (starts, replicas) = dice.choice([(20, 4), (20, 4), (20, 3), (5, 8), (1, 1)]).unwrap();
        let terms = Terms { starts, span: 1_025_000, horizon: dice.i64(0..4_000_000), replicas };
        let ask = random_ask(&mut dice, now);
        let (of_model, of_script) = known.get(&id).copied().unwrap_or_default();
        let model = server.answer(now, id, &Ask { epoch: of_model, ..ask }, &terms);
        let real = ask_redis(&mut redis, &script, server.run, id, &Ask { epoch: of_script, ..ask }, &terms, now);
        let mut same = real.clone();
        if let (Some(real), Some(model), Some(same)) = (&real.taken, &model.taken, &mut same.taken) {
            assert_eq!(real.epoch % 4096, model.epoch % 4096, "step {step} of seed {SEED}");
            assert_eq!(*eras.entry(model.epoch / 4096).or_insert(real.epoch / 4096), real.epoch / 4096, "step {step}");
            known.insert(id, (model.epoch, real.epoch));
            promised += real.starts.len();
            same.epoch = model.epoch;
        }
        assert_eq!(same, model, "step {step} of seed {SEED}, {id} asked {ask:?} with {terms:?}\n{:?}", server.key);
    }
    assert!(eras.len() > 20 && promised > 1_000, "{} eras, {promised} starts: not much of a test", eras.len());
}

fn ask_redis(redis: &mut Redis, script: &str, run: u64, id: u32, ask: &Ask, terms: &Terms, now: i64) -> Reply {
    let id = id.to_string();
    let mut call = redis::cmd("EVALSHA");
    call.arg(script).arg(1).arg("k").arg(run);
    for arg in ask.args(&id, terms) {
        match arg {
            Arg::Text(text) => call.arg(text),
            Arg::Number(number) => call.arg(number),
        };
    }
    let words: Vec<i64> = call.arg(now).query(&mut redis.connection).unwrap();
    Reply::read(&words).expect("words of the script")
}

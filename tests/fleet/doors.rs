//! How a sidecar gets in at the store: TLS, passwords, users, and another store of the same tongue.

use tempfile::TempDir;

use crate::stage::{Crowd, Fleet, Kind, Plan, Store, Warned, Wish, at_once, s};
use crate::support::authority::Authority;

#[test]
fn who_is_let_in() {
    at_once(&[
        ("over_tls", over_tls),
        ("with_a_password", with_a_password),
        ("as_a_user_with_few_rights", as_a_user_with_few_rights),
        ("in_valkey", in_valkey),
    ]);
}

#[test]
fn who_is_kept_out() {
    at_once(&[
        ("over_tls_of_somebody_else", over_tls_of_somebody_else),
        ("with_a_wrong_password_and_then_the_right_one", with_a_wrong_password_and_then_the_right_one),
        ("as_a_user_with_too_few_rights", as_a_user_with_too_few_rights),
    ]);
}

/// All is as it is without a door.
fn works(fleet: &Fleet) {
    fleet.all_are(true);
    let crowd = Crowd::at(&fleet.addresses, 50, &fleet.ledger);
    fleet.ledger.run_until_used(40, s(3));
    crowd.stop();
    fleet.ledger.holds(40);
}

/// Each is on its own, and says why in these words.
fn is_kept_out(fleet: &Fleet, words: &str) {
    fleet.all_are(false);
    let crowd = Crowd::at(&fleet.addresses, 50, &fleet.ledger);
    fleet.ledger.run_until_used(40, s(3));
    crowd.stop();
    fleet.ledger.holds(40);
    fleet.warned_once(&Warned::default());
    let warnings = fleet.warnings(0).join("\n");
    assert!(warnings.contains(words), "nothing of {words} in {warnings}");
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a folder can be made"))
    }

    /// Writes a file, and gives the line of the config that names it.
    fn line(&self, key: &str, text: &str) -> String {
        let path = self.0.path().join(key);
        std::fs::write(&path, text).expect("a file can be written");
        format!(", {key}: '{}'", path.display())
    }
}

fn tls(authority: &Authority) -> Wish {
    Wish { tls: Some((authority.server(), authority.pem())), ..Wish::default() }
}

fn over_tls() {
    let (authority, folder) = (Authority::new("the store's"), Folder::new());
    let plan = Plan { tls: true, fleet: folder.line("ca_file", &authority.pem()), ..Plan::of(2, 40) };
    works(&Fleet::with(plan, Store::with(tls(&authority))));
}

fn over_tls_of_somebody_else() {
    let (authority, other, folder) = (Authority::new("the store's"), Authority::new("another's"), Folder::new());
    let line = folder.line("ca_file", &other.pem());
    let plan = Plan { tls: true, fleet: line, joins: false, ..Plan::of(2, 40) };
    let fleet = Fleet::with(plan, Store::with(tls(&authority)));
    is_kept_out(&fleet, "UnknownIssuer; see fleet.ca_file");
    // Nothing was said to it.
    assert_eq!(fleet.store.keys(), Vec::<String>::new());
}

const PASSWORD: &str = "open-sesame-7qzx4k";

fn with_a_password() {
    let folder = Folder::new();
    let plan = Plan { fleet: folder.line("password_file", PASSWORD), ..Plan::of(2, 40) };
    works(&Fleet::with(plan, Store::with(Wish { password: Some(PASSWORD), ..Wish::default() })));
}

/// A wrong password is no reason to stop; a right one is taken up when the file has it.
fn with_a_wrong_password_and_then_the_right_one() {
    let folder = Folder::new();
    let line = folder.line("password_file", "open-barley-7qzx4k");
    let plan = Plan { fleet: line, joins: false, ..Plan::of(2, 40) };
    let fleet = Fleet::with(plan, Store::with(Wish { password: Some(PASSWORD), ..Wish::default() }));
    is_kept_out(&fleet, "see fleet.password_file");
    folder.line("password_file", PASSWORD);
    fleet.all_are(true);
    works(&fleet);
    for number in 0..2 {
        let said = fleet.sidecar(number).process.err.text();
        assert!(!said.contains("open-"), "a password in the log");
    }
}

/// What a user of the store must be allowed, and nothing else.
const RIGHTS: &str = "~sidemint:loads:* resetchannels -@all +eval +evalsha +info +time +del +hdel +hget +hgetall +hmget \
    +hset +pexpire";

/// A fleet whose user of the store has these rights.
fn with_rights(rights: &str, joins: bool, folder: &Folder) -> Fleet {
    let lines = format!("user sidemint on >{PASSWORD} {rights}\nuser default on nopass ~* &* +@all\n");
    let fleet = folder.line("password_file", PASSWORD);
    let plan = Plan { user: "sidemint@", fleet, joins, ..Plan::of(2, 40) };
    Fleet::with(plan, Store::with(Wish { lines, ..Wish::default() }))
}

fn as_a_user_with_few_rights() {
    let folder = Folder::new();
    let fleet = with_rights(RIGHTS, true, &folder);
    works(&fleet);
    // Nothing was tried that is not allowed.
    assert_eq!(fleet.store.command("ACL LOG"), "");
}

/// It may ask for the time, and for nothing that the limit is made of.
fn as_a_user_with_too_few_rights() {
    let folder = Folder::new();
    let fleet = with_rights(&RIGHTS.replace("+hset", ""), false, &folder);
    is_kept_out(&fleet, "NOPERM");
}

fn in_valkey() {
    works(&Fleet::with(Plan::of(2, 40), Store::with(Wish { kind: Kind::Valkey, ..Wish::default() })));
}

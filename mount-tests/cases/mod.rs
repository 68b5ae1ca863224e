//! The tests, a file for each subject.

mod admission;
mod anonymous;
mod bad;
mod beside;
mod checks;
mod cluster;
mod command;
mod crowd;
pub mod differential;
mod divided;
mod embedded;
mod ends;
mod events;
mod failover;
mod files;
mod front;
mod fuzz;
mod hangs;
mod health;
mod idioms;
mod interchange;
mod kept;
pub mod kills;
mod let_go;
mod life;
mod live;
mod load;
mod logs;
mod loops;
mod machines;
mod nbd;
mod neighbours;
mod progress;
mod races;
mod random;
mod readme;
mod records;
mod refusals;
mod rollback;
mod security;

pub mod selftest;
mod shapes;
mod short;
mod slow;
mod soak;
mod speed;
mod story;
mod survival;
mod switching;
mod under;
mod values;
mod waiting;
mod worked;
mod writes;
mod wrong;

use crate::lab::case::Case;

/// All tests, each with the name of its file, in the order in which they run.
pub fn all() -> Vec<(&'static str, &'static Case)> {
    if std::env::var_os(selftest::VARIABLE).is_some() {
        return selftest::BAD.iter().map(|case| ("bad", case)).collect();
    }
    let files = [
        ("selftest", selftest::CASES),
        ("worked", worked::CASES),
        ("differential", differential::CASES),
        ("interchange", interchange::CASES),
        ("readme", readme::CASES),
        ("shapes", shapes::CASES),
        ("short", short::CASES),
        ("wrong", wrong::CASES),
        ("logs", logs::CASES),
        ("files", files::CASES),
        ("values", values::CASES),
        ("info", machines::info::CASES),
        ("metrics", machines::metrics::CASES),
        ("scrape", machines::scrape::CASES),
        ("progress", progress::CASES),
        ("health", health::CASES),
        ("kept", kept::CASES),
        ("events", events::CASES),
        ("waiting", waiting::CASES),
        ("idioms", idioms::CASES),
        ("writes", writes::CASES),
        ("neighbours", neighbours::CASES),
        ("ends", ends::CASES),
        ("loops", loops::CASES),
        ("refusals", refusals::CASES),
        ("admission", admission::CASES),
        ("soak", soak::CASES),
        ("races", races::CASES),
        ("random", random::CASES),
        ("fuzz", fuzz::parsers::CASES),
        ("fuzz", fuzz::calls::CASES),
        ("hangs", hangs::CASES),
        ("crowd", crowd::CASES),
        ("slow", slow::ROWS),
        ("slow_verbs", slow::VERBS),
        ("slow_files", slow::files::CASES),
        ("slow_stress", slow::stress::CASES),
        ("records_back", records::back::CASES),
        ("records_refused", records::refused::CASES),
        ("records_broken", records::broken::CASES),
        ("records_state", records::state::CASES),
        ("coming", records::coming::CASES),
        ("deciding", records::deciding::CASES),
        ("matrix", records::matrix::CASES),
        ("lives", records::lives::CASES),
        ("kills", kills::CASES),
        ("kills_steps", kills::steps::CASES),
        ("kills_guards", kills::guards::CASES),
        ("failover_legs", failover::legs::CASES),
        ("failover_spots", failover::spots::CASES),
        ("failover_logs", failover::logs::CASES),
        ("failover_held", failover::held::CASES),
        ("life", life::CASES),
        ("live", live::CASES),
        ("segments", bad::segments::CASES),
        ("divided", divided::CASES),
        ("front", front::CASES),
        ("bad_spots", bad::spots::CASES),
        ("mapped", bad::mapped::CASES),
        ("bad_in_use", bad::in_use::CASES),
        ("bad_medium", bad::medium::CASES),
        ("bad_kept", bad::kept::CASES),
        ("checks", checks::CASES),
        ("switching", switching::CASES),
        ("beside", beside::CASES),
        ("let_go", let_go::CASES),
        ("under", under::CASES),
        ("anonymous", anonymous::CASES),
        ("story", story::CASES),
        ("nbd", nbd::CASES),
        ("load", load::CASES),
        ("survival", survival::CASES),
        ("cluster", cluster::CASES),
        ("rollback", rollback::CASES),
        ("security", security::CASES),
        ("security_rows", security::rows::CASES),
        ("security_opened", security::opened::CASES),
        ("security_once", security::once::CASES),
        ("security_devices", security::devices::CASES),
        ("security_daily", security::daily::CASES),
        ("security_abuse", security::abuse::CASES),
        ("security_worst", security::worst::CASES),
        ("speed", speed::CASES),
        ("command", command::CASES),
        ("user", embedded::user::CASES),
        ("failing", embedded::failing::CASES),
        ("writeback", embedded::writeback::CASES),
        ("crash", embedded::crash::CASES),
        ("restart", embedded::restart::CASES),
        ("locks", embedded::locks::CASES),
        ("devices", embedded::devices::CASES),
        ("sparse", embedded::sparse::CASES),
        ("throttle", embedded::throttle::CASES),
    ];
    let cases = files
        .into_iter()
        .map(|(file, cases)| cases.iter().map(move |case| (file, case)));
    cases.flatten().collect()
}

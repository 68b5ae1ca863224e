//! The same random script on both engines ends in the same statuses, the same
//! letters, the same count of events and the same bytes.

pub mod random;
mod script;
mod twins;

pub use random::Random;

use crate::lab::case::{Case, kernel_only};
use crate::lab::shell::output;
use crate::lab::{Lab, long};

pub const CASES: &[Case] = &[kernel_only(
    "scripts",
    "it compares both engines: here the kernel's is beside the other one",
    scripts,
)];

/// How many scripts, in the plain run and in the long one.
const PLAIN: u64 = 12;
const LONG: u64 = 300;

/// `MIRRORFS_SEED=N` or `N-M`: these scripts only.
fn asked() -> Option<std::ops::Range<u64>> {
    let text = std::env::var("MIRRORFS_SEED").ok()?;
    let (first, last) = text.split_once('-').unwrap_or((&text, &text));
    Some(first.parse().ok()?..last.parse::<u64>().ok()? + 1)
}

fn scripts(lab: &Lab) {
    let seeds = asked().unwrap_or(0..if long() { LONG } else { PLAIN });
    output("udevadm settle --timeout=10 || true");
    let twins = twins::Twins::new(lab, 1);
    let mut steps = 0;
    for seed in seeds.clone() {
        let mut told = Vec::new();
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            script::run(&twins, seed, &mut told);
        }));
        if let Err(panic) = ran {
            println!("MIRRORFS_SEED={seed}:\n{}", told.join("\n"));
            std::panic::resume_unwind(panic);
        }
        steps += told.len();
        if seed % 20 == 19 {
            println!("{} scripts are the same on both", seed + 1);
        }
    }
    println!("{} scripts, {steps} steps", seeds.count());
}

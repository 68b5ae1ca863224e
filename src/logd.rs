//! The command `mirrorfs-logd`.

use std::process::exit;

use mirrorfs::cluster::run::{options, run};
use mirrorfs::command::{dispositions, panics};

fn main() {
    dispositions::reset();
    panics::abort();
    match options::parse(std::env::args_os()) {
        Ok(options) => exit(run(&options)),
        Err(error) => error.exit(),
    }
}

//! The command `mirrorfs`.

use std::process::exit;

use mirrorfs::command::{options, run};

fn main() {
    match options::parse(std::env::args_os()) {
        Ok(options) => exit(run::run(options)),
        Err(error) => error.exit(),
    }
}

//! The command `mirrorfs`.

use std::process::exit;

use mirrorfs::command::options::{self, Unusable};
use mirrorfs::command::run;

fn main() {
    match options::parse(std::env::args_os()) {
        Ok(options) => exit(run::run(options)),
        Err(Unusable::Words(error)) => error.exit(),
        Err(Unusable::Option(error)) => {
            eprintln!("mirrorfs: {error}");
            exit(1)
        }
    }
}

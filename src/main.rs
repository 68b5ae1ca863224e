//! The command `mirrorfs`.

use std::io::{Write, stdout};
use std::process::exit;

use mirrorfs::command::options::{self, Unusable};
use mirrorfs::command::{dispositions, generate, panics, run};

fn main() {
    dispositions::reset();
    panics::abort();
    match options::parse(std::env::args_os()) {
        Ok(options) => exit(run::run(options)),
        Err(Unusable::Words(error)) => error.exit(),
        Err(Unusable::Generated(what)) => {
            let printed = stdout().write_all(&generate::text(what));
            exit(printed.map_or(1, |()| 0))
        }
        Err(Unusable::Option(error)) => {
            eprintln!("mirrorfs: {error}");
            exit(1)
        }
    }
}

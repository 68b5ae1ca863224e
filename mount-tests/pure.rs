//! What the pure paths cost, each by itself, with how often they ask for memory:
//! `cargo bench --bench pure`.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, missing_docs)]

use std::sync::Arc;

use divan::{AllocProfiler, Bencher, black_box, main as run};
use mirrorfs::engine::{Found, Info};
use mirrorfs::model::failure::assess;
use mirrorfs::model::health;
use mirrorfs::model::progress::Progress;
use mirrorfs::model::shared::Shared;
use mirrorfs::model::snapshot::{Known, Snapshot};
use mirrorfs::text::device::DevNo;
use mirrorfs::text::request::Request;
use mirrorfs::text::simple_request::SimpleRequest;
use mirrorfs::text::status::MirrorStatus;
use mirrorfs::text::table::{Line, Table};
use mirrorfs::tree::top::Top;
use mirrorfs::tree::{info, metrics};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const TABLE: &str = "core 1 8192 2 8:0 0 8:16 0 1 handle_errors";
const STATUS: &str = "2 8:0 8:16 12/256 1 AA 1 core";

fn main() {
    run();
}

fn line(params: &str) -> Line {
    let (kind, params) = ("mirror".into(), params.into());
    Line {
        start: 0,
        length: 2_097_152,
        kind,
        params,
    }
}

fn snapshot() -> Snapshot {
    let dev = DevNo {
        major: 253,
        minor: 0,
    };
    let info = Info {
        live: true,
        ..Info::bare("m", "MIRRORFS-1", dev)
    };
    let (status, lines) = (vec![line(STATUS)], vec![line(TABLE)]);
    let known = Known::default();
    Snapshot::new(info, status, lines.into(), Some(1), known, &|_| {
        Found::Unknown
    })
}

#[divan::bench]
fn parse_table() -> Table {
    Table::from_lines(&[line(black_box(TABLE))])
}

#[divan::bench]
fn parse_status() -> MirrorStatus {
    MirrorStatus::parse(black_box(STATUS)).expect("a status")
}

#[divan::bench]
fn parse_request() -> Request {
    let request = "m: 0 2097152 mirror core 1 8192 2 /dev/sdb 0 /dev/sdc 0 1 handle_errors";
    Request::parse(black_box(request)).expect("a request")
}

#[divan::bench]
fn parse_short_form() -> SimpleRequest {
    SimpleRequest::parse(black_box("/dev/sdb /dev/sdc limit=50M")).expect("a request")
}

#[divan::bench]
fn make_snapshot() -> Snapshot {
    snapshot()
}

#[divan::bench]
fn judge(bencher: Bencher<'_, '_>) {
    let snapshot = snapshot();
    bencher.bench_local(|| assess(black_box(&snapshot)));
}

#[divan::bench]
fn row_progress(bencher: Bencher<'_, '_>) {
    let snapshot = snapshot();
    bencher.bench_local(|| Progress::line_of(black_box(&snapshot)));
}

#[divan::bench]
fn row_health(bencher: Bencher<'_, '_>) {
    let snapshot = snapshot();
    bencher.bench_local(|| health::text(black_box(&snapshot)));
}

#[divan::bench]
fn info_json(bencher: Bencher<'_, '_>) {
    let snapshot = snapshot();
    bencher.bench_local(|| info::of(black_box(&snapshot)));
}

#[divan::bench(args = [1, 1000])]
fn metrics_text(bencher: Bencher<'_, '_>, mirrors: usize) {
    let all = || (0..mirrors).map(|_| Arc::new(Shared::new(snapshot())));
    bencher
        .with_inputs(|| Top {
            mirrors: all().collect(),
            ..Top::default()
        })
        .bench_local_refs(|top| metrics::text(top));
}

/// The same where nothing is otherwise than at the last look.
#[divan::bench(args = [1, 1000])]
fn metrics_text_again(bencher: Bencher<'_, '_>, mirrors: usize) {
    let mirrors = (0..mirrors)
        .map(|_| Arc::new(Shared::new(snapshot())))
        .collect();
    let top = Top {
        mirrors,
        ..Top::default()
    };
    bencher.bench_local(|| metrics::text(black_box(&top)));
}

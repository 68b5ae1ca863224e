//! The metrics of all mirrors, a row each. What is not known has no figure: 0 would
//! be read as one.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::top::Top;
use crate::daemon::events::counts::{NONE, Tally};
use crate::daemon::events::kind::Kind;
use crate::model::check::{Check, Phase};
use crate::model::health::State;
use crate::model::progress::Progress;
use crate::model::shared::{Parts, Piece, Shared};
use crate::model::snapshot::{Leg, Snapshot};
use crate::text::letter::Letter;
use crate::text::openmetrics::{END, Family, Sample};

/// The figures of one mirror, which get its name as a label.
type Figures = fn(&Snapshot) -> Vec<Sample>;

const OF_MIRRORS: &[(Family, Figures)] = &[
    (
        Family::gauge("mirrorfs_regions", "", "Regions of the mirror."),
        |m| vec![plain(Progress::of(m).regions_total)],
    ),
    (
        Family::gauge("mirrorfs_regions_in_sync", "", "Regions in sync."),
        |m| vec![plain(Progress::of(m).regions_done)],
    ),
    (
        Family::gauge("mirrorfs_size_bytes", "bytes", "Size of the mirror."),
        |m| vec![plain(m.size())],
    ),
    (
        Family::gauge(
            "mirrorfs_sync_bytes_per_second",
            "bytes_per_second",
            "Copy speed, while copying and where known.",
        ),
        |m| optional(Progress::of(m).rate_bytes()),
    ),
    (
        Family::gauge(
            "mirrorfs_sync_eta_seconds",
            "seconds",
            "Time until in sync, while copying and where known.",
        ),
        |m| optional(Progress::of(m).eta()),
    ),
    (
        Family::gauge(
            "mirrorfs_state",
            "",
            "1 for the mirror's state, 0 for the others.",
        ),
        states,
    ),
    (
        Family::gauge(
            "mirrorfs_leg_healthy",
            "",
            "1 while the leg has no known error, else 0.",
        ),
        legs,
    ),
    (
        Family::gauge("mirrorfs_log_healthy", "", "1 while the log works, else 0."),
        log,
    ),
    (
        Family::gauge(
            "mirrorfs_bad_bytes",
            "bytes",
            "Bytes of the source that could not be read.",
        ),
        |m| vec![plain(Progress::of(m).bad_bytes)],
    ),
    (
        Family::gauge(
            "mirrorfs_check_mismatch_bytes",
            "bytes",
            "Bytes that differ between the legs, as the last check found.",
        ),
        |m| optional(m.check().map(|check| check.differs.bytes())),
    ),
    (
        Family::gauge(
            "mirrorfs_check_timestamp_seconds",
            "seconds",
            "When the last check came to its end, since 1970.",
        ),
        |m| optional(checked(m, Phase::Done).map(|check| check.ended)),
    ),
    (
        Family::gauge(
            "mirrorfs_check_progress",
            "",
            "Percent that the check has compared, while it runs.",
        ),
        |m| optional(checked(m, Phase::Running).map(Check::done)),
    ),
];

const EVENTS: Family = Family::counter(
    "mirrorfs_events",
    "Events since the daemon started; those of no mirror, and removals, have mirror=\"-\".",
);

const BUILD: Family = Family::gauge(
    "mirrorfs_build_info",
    "",
    "1, with the versions of mirrorfs, the engine and the mirror target.",
);

/// The text of `metrics`.
pub fn text(root: &Top) -> String {
    let mut text = String::new();
    let mirrors = distinct(&root.mirrors);
    let made: Vec<Arc<Parts>> = mirrors.iter().map(|mirror| figures_of(mirror)).collect();
    for (number, (family, _)) in OF_MIRRORS.iter().enumerate() {
        family.head(&mut text);
        let figures = made.iter().map(|parts| parts.part(number));
        figures.for_each(|figures| text.push_str(figures));
    }
    EVENTS.head(&mut text);
    for mirror in mirrors.iter().filter(|mirror| mirror.info.name != NONE) {
        text.push_str(events_of(mirror, root).part(0));
    }
    EVENTS.samples(&mut text, events(root.counts.of(NONE), NONE));
    BUILD.head(&mut text);
    BUILD.samples(&mut text, [build(root)]);
    text.push_str(END);
    text
}

/// The figures of a mirror, a part for each metric.
fn figures_of(mirror: &Shared) -> Arc<Parts> {
    mirror.text(Piece::Figures, 0, |mirror| {
        let mut parts = Parts::default();
        for (family, figures) in OF_MIRRORS {
            let figures = figures(mirror).into_iter();
            let figures = figures.map(|figure| of_mirror(&mirror.info.name, figure));
            family.samples(parts.write(), figures);
            parts.end();
        }
        parts
    })
}

/// The counts of its events.
fn events_of(mirror: &Shared, root: &Top) -> Arc<Parts> {
    let tally = root.counts.of(&mirror.info.name);
    let mut hasher = DefaultHasher::new();
    tally.hash(&mut hasher);
    mirror.text(Piece::Events, hasher.finish(), |mirror| {
        let mut text = String::new();
        EVENTS.samples(&mut text, events(tally, &mirror.info.name));
        Parts::whole(text)
    })
}

/// Readers refuse all of a text that has a figure twice, and two mirrors that swap
/// their names while they are looked at may seem to have the same one.
fn distinct(mirrors: &[Arc<Shared>]) -> Vec<&Shared> {
    let mut names = HashSet::new();
    let mut mirrors: Vec<&Shared> = mirrors.iter().map(Arc::as_ref).collect();
    mirrors.retain(|mirror| names.insert(&mirror.info.name));
    mirrors
}

fn of_mirror(name: &str, figure: Sample) -> Sample {
    let mut labels = vec![("mirror", name.to_string())];
    labels.extend(figure.labels);
    Sample { labels, ..figure }
}

fn plain(value: u64) -> Sample {
    let labels = Vec::new();
    Sample { labels, value }
}

fn optional(value: Option<u64>) -> Vec<Sample> {
    value.map(plain).into_iter().collect()
}

fn checked(mirror: &Snapshot, phase: Phase) -> Option<&Check> {
    mirror.check().filter(|check| check.phase == phase)
}

fn states(mirror: &Snapshot) -> Vec<Sample> {
    let now = State::of(mirror);
    let figure = |state: State| Sample {
        labels: vec![("state", state.word().into())],
        value: u64::from(state == now),
    };
    State::ALL.map(figure).into()
}

fn legs(mirror: &Snapshot) -> Vec<Sample> {
    let figure = |leg: &Leg| Sample {
        labels: vec![("leg", leg.number.to_string()), ("device", leg.path())],
        value: u64::from(leg.letter == Letter::Alive && !leg.unresponsive),
    };
    // Of what is not there no letter is known.
    let there = mirror.known.absent.is_none();
    let legs = mirror.legs.iter().filter(|_| there);
    legs.map(figure).collect()
}

fn log(mirror: &Snapshot) -> Vec<Sample> {
    let healthy = mirror.logs.iter().all(|log| log.letter == Letter::Alive);
    let known = mirror.known.absent.is_none() && !mirror.logs.is_empty();
    optional(known.then_some(u64::from(healthy)))
}

/// A kind for which somebody is called is there from 0: of a figure that begins at
/// 1 no reader sees that it rose.
fn events(tally: Tally, name: &str) -> Vec<Sample> {
    let counted = Kind::ALL
        .into_iter()
        .filter(|kind| kind.is_alarming() || tally.of(*kind) > 0);
    let figure = |kind: Kind| Sample {
        labels: vec![("mirror", name.into()), ("kind", kind.word().into())],
        value: tally.of(kind),
    };
    counted.map(figure).collect()
}

fn build(root: &Top) -> Sample {
    let mut labels = vec![("version", env!("CARGO_PKG_VERSION").to_string())];
    if let Some((kind, versions)) = &root.engine {
        let target = versions.mirror.clone().unwrap_or_else(|| "none".into());
        labels.extend([
            ("engine", kind.to_string()),
            ("dm", versions.dm.clone()),
            ("target", target),
        ]);
    }
    Sample { labels, value: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Info;
    use crate::model::snapshot::{Found, Known};
    use crate::text::device::DevNo;

    fn mirror(name: &str, minor: u32) -> Snapshot {
        let info = Info {
            name: name.into(),
            uuid: format!("MIRRORFS-{minor}"),
            dev: DevNo { major: 254, minor },
            event_nr: 0,
            open_count: 0,
            suspended: false,
            read_only: false,
            live: false,
            inactive: false,
            deferred: false,
        };
        Snapshot::new(
            info,
            Vec::new(),
            Vec::new().into(),
            None,
            Known::default(),
            &|_| Found::Unknown,
        )
    }

    #[test]
    fn no_figure_is_there_twice() {
        let mirrors = [mirror("a", 0), mirror("a", 1), mirror(NONE, 2)];
        let mirrors = mirrors.map(|mirror| Arc::new(Shared::new(mirror))).into();
        let text = text(&Top {
            mirrors,
            ..Top::default()
        });
        let lines: Vec<&str> = text.lines().collect();
        let distinct: HashSet<&&str> = lines.iter().collect();
        assert_eq!(lines.len(), distinct.len(), "{text}");
        assert!(
            lines.contains(&"mirrorfs_size_bytes{mirror=\"a\"} 0"),
            "{text}"
        );
        assert!(
            lines.contains(&"mirrorfs_size_bytes{mirror=\"-\"} 0"),
            "{text}"
        );
    }

    #[test]
    fn what_a_family_says_of_itself_fits_a_line_and_its_unit_ends_its_name() {
        let families = OF_MIRRORS.iter().map(|(family, _)| family);
        for family in families.chain([&EVENTS, &BUILD]) {
            let Family {
                name, unit, help, ..
            } = family;
            assert!(
                name.starts_with("mirrorfs_") && name.ends_with(unit),
                "{name}"
            );
            assert!(
                help.ends_with('.') && !help.contains(['\n', '\\']),
                "{help}"
            );
        }
    }
}

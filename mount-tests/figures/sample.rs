//! Samples of what takes time, and what is made of them.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// One figure: what was measured, beside what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What it is of: `status of 1000 mirrors`.
    pub name: String,
    /// In what `ours` and `theirs` are.
    pub unit: String,
    /// The median of ours.
    pub ours: f64,
    /// Beside what; empty where it stands for itself.
    pub beside: String,
    /// The median of that.
    pub theirs: f64,
    /// Quartiles of the ratio, round by round; of `ours` where it stands for itself.
    pub spread: (f64, f64),
    /// Of how many rounds.
    pub rounds: usize,
    /// Where it belongs on a plot: its curve, and its place on it.
    #[serde(default)]
    pub at: Option<(String, f64)>,
}

impl Figure {
    /// Samples in a unit, beside others of the same rounds.
    pub fn beside(name: &str, unit: &str, ours: &[f64], (other, theirs): (&str, &[f64])) -> Figure {
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
        Figure {
            beside: other.into(),
            theirs: median(theirs),
            spread: quartiles(&ratios),
            ..Figure::plain(name, unit, ours)
        }
    }

    /// Samples beside nothing.
    pub fn plain(name: &str, unit: &str, ours: &[f64]) -> Figure {
        Figure {
            name: name.into(),
            unit: unit.into(),
            ours: median(ours),
            beside: String::new(),
            theirs: 0.0,
            spread: quartiles(ours),
            rounds: ours.len(),
            at: None,
        }
    }

    /// On this curve, at this place.
    pub fn on(self, curve: &str, at: f64) -> Figure {
        let at = Some((curve.into(), at));
        Figure { at, ..self }
    }

    /// The ratio of the medians; none of what stands for itself.
    pub fn ratio(&self) -> Option<f64> {
        (!self.beside.is_empty()).then(|| self.ours / self.theirs)
    }

    /// What is compared with another run's: the ratio, or the figure itself.
    pub fn value(&self) -> f64 {
        self.ratio().unwrap_or(self.ours)
    }
}

/// The middle one.
pub fn median(samples: &[f64]) -> f64 {
    at(samples, 0.5)
}

/// The sample that this share of all is not above.
pub fn at(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    let place = (share * last as f64).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

fn quartiles(samples: &[f64]) -> (f64, f64) {
    (at(samples, 0.25), at(samples, 0.75))
}

/// Seconds that something takes.
pub fn time<T>(work: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    let result = work();
    let took = start.elapsed();
    drop(result);
    took.as_secs_f64()
}

/// Seconds that each of two things takes, by turns, so that a busy machine slows both.
pub fn by_turns(
    rounds: usize,
    mut ours: impl FnMut(),
    mut theirs: impl FnMut(),
) -> (Vec<f64>, Vec<f64>) {
    // Once for nothing: what is read for the first time costs more.
    ours();
    theirs();
    let rounds = (0..rounds).map(|round| {
        if round % 2 == 0 {
            let first = time(&mut ours);
            (first, time(&mut theirs))
        } else {
            let first = time(&mut theirs);
            (time(&mut ours), first)
        }
    });
    rounds.unzip()
}

/// Wait until something is so; panics where it takes longer than that.
pub fn until(within: Duration, what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < within, "{what}: not within {within:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

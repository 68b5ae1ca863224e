//! Curves as SVG: a line for each, both axes logarithmic.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::sample::Figure;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const MARGIN: f64 = 60.0;
const COLOURS: [&str; 6] = [
    "#1f6fb4", "#d1571f", "#2d8a4e", "#8b4fb0", "#b0892d", "#555555",
];

/// The curves of a plot by their names, each a list of places and values.
type Curves<'a> = BTreeMap<&'a str, Vec<(f64, f64)>>;

/// The plots that some figures make. A curve's name is `plot/curve`.
pub fn plots(figures: &[Figure]) -> BTreeMap<String, String> {
    let mut plots: BTreeMap<&str, (Curves<'_>, bool)> = BTreeMap::new();
    for figure in figures {
        let Some((path, at)) = &figure.at else {
            continue;
        };
        let (plot, curve) = path.split_once('/').unwrap_or((path, ""));
        let (curves, ratios) = plots.entry(plot).or_default();
        curves.entry(curve).or_default().push((*at, figure.value()));
        *ratios |= figure.ratio().is_some();
    }
    let drawn = plots.into_iter().map(|(name, (curves, ratios))| {
        let what = if ratios { "ratio" } else { "value" };
        (name.replace(' ', "-"), draw(name, &curves, what))
    });
    drawn.collect()
}

fn draw(title: &str, curves: &Curves<'_>, what: &str) -> String {
    let all = || curves.values().flatten();
    let (across, up) = (
        Axis::of(all().map(|(x, _)| *x)),
        Axis::of(all().map(|(_, y)| *y)),
    );
    let place = |(x, y): (f64, f64)| {
        let right = MARGIN + across.share(x) * (WIDTH - 3.0 * MARGIN);
        (
            right,
            HEIGHT - MARGIN - up.share(y) * (HEIGHT - 2.0 * MARGIN),
        )
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"{MARGIN}\" y=\"24\" font-size=\"14\">{title} ({what})</text>\n"
    );
    for tick in up.ticks() {
        let (x, y) = place((across.low, tick));
        let end = WIDTH - 2.0 * MARGIN;
        let _ = writeln!(
            svg,
            "<path d=\"M{x:.1} {y:.1}H{end}\" stroke=\"#dddddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{tick}</text>",
            x - 6.0,
            y + 4.0
        );
    }
    let mut places: Vec<f64> = all().map(|(x, _)| *x).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    for tick in places {
        let (x, y) = place((tick, up.low));
        let below = y + 18.0;
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{below:.1}\" text-anchor=\"middle\">{tick}</text>"
        );
    }
    for ((curve, points), colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        let mut points: Vec<(f64, f64)> = points.iter().copied().map(place).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let path: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let (x, y) = points.last().copied().unwrap_or_default();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{curve}</text>",
            path.join(" "),
            x + 6.0,
            y + 4.0
        );
    }
    svg + "</svg>\n"
}

/// One axis, logarithmic.
struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64>) -> Axis {
        // There is no logarithm of 0: it lies at the edge.
        let least = 1e-3;
        let (low, high) = values.fold((f64::MAX, least), |(low, high), value| {
            (low.min(value.max(least)), high.max(value))
        });
        let high = if high > low { high } else { low * 2.0 };
        Axis { low, high }
    }

    fn share(&self, value: f64) -> f64 {
        (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
    }

    /// The round values on it: 1, 2 and 5 of each power of ten.
    fn ticks(&self) -> Vec<f64> {
        let powers = -3..7_i32;
        let all = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * 10_f64.powi(power)));
        let rounded = all.map(|tick| (tick * 1e3).round() / 1e3);
        rounded
            .filter(|tick| (self.low..=self.high).contains(tick))
            .collect()
    }
}

//! The text that Prometheus and its like read: OpenMetrics 1.0, as far as gauges
//! and counters go, which older readers of Prometheus's own format read too.

/// What kind of figure a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricType {
    /// It goes up and down.
    Gauge,
    /// It counts from the daemon's start.
    Counter,
}

/// A metric: what it is, without its figures.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Its name; that of a counter's figures has `_total` behind it.
    pub name: &'static str,
    /// What kind of figure.
    pub sort: MetricType,
    /// What it is counted in, the name's end; empty for a bare number.
    pub unit: &'static str,
    /// A line for a person.
    pub help: &'static str,
}

/// One figure of a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// What tells it from the others.
    pub labels: Vec<(&'static str, String)>,
    /// The value, in the unit of the family.
    pub value: u64,
}

/// What stands last: a text without it was cut short.
pub const END: &str = "# EOF\n";

impl Family {
    /// A gauge.
    pub const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Family {
        Family {
            name,
            sort: MetricType::Gauge,
            unit,
            help,
        }
    }

    /// A counter without a unit.
    pub const fn counter(name: &'static str, help: &'static str) -> Family {
        Family {
            name,
            sort: MetricType::Counter,
            unit: "",
            help,
        }
    }

    /// Say what the metric is, in front of its figures.
    pub fn head(&self, text: &mut String) {
        let Family {
            name, unit, help, ..
        } = self;
        let sort = match self.sort {
            MetricType::Gauge => "gauge",
            MetricType::Counter => "counter",
        };
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {sort}\n"));
        if !unit.is_empty() {
            text.push_str(&format!("# UNIT {name} {unit}\n"));
        }
    }

    /// Add figures of it.
    pub fn samples(&self, text: &mut String, samples: impl IntoIterator<Item = Sample>) {
        let name = self.name;
        let ending = match self.sort {
            MetricType::Gauge => "",
            MetricType::Counter => "_total",
        };
        for Sample { labels, value } in samples {
            let labels = labels.iter().map(label).collect::<Vec<_>>().join(",");
            text.push_str(&format!("{name}{ending}{{{labels}}} {value}\n"));
        }
    }
}

fn label((name, value): &(&str, String)) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            other => escaped.push(other),
        }
    }
    format!("{name}=\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(labels: &[(&'static str, &str)], value: u64) -> Sample {
        let labels = labels.iter().map(|(name, text)| (*name, (*text).into()));
        Sample {
            labels: labels.collect(),
            value,
        }
    }

    #[test]
    fn a_gauge_with_its_unit() {
        let mut text = String::new();
        let family = Family::gauge("x_size_bytes", "bytes", "How large.");
        family.head(&mut text);
        family.samples(&mut text, [sample(&[("a", "1"), ("b", "")], 7)]);
        assert_eq!(
            text,
            "# HELP x_size_bytes How large.\n# TYPE x_size_bytes gauge\n\
             # UNIT x_size_bytes bytes\nx_size_bytes{a=\"1\",b=\"\"} 7\n"
        );
    }

    #[test]
    fn the_figures_of_a_counter_have_another_name() {
        let mut text = String::new();
        let family = Family::counter("x_events", "How many.");
        family.head(&mut text);
        family.samples(&mut text, [sample(&[("k", "v")], 1)]);
        assert_eq!(
            text,
            "# HELP x_events How many.\n# TYPE x_events counter\nx_events_total{k=\"v\"} 1\n"
        );
    }

    #[test]
    fn labels_are_escaped() {
        let mut text = String::new();
        let odd = "a\\x20 \"b\"\nc{},=é";
        Family::gauge("x", "", "h").samples(&mut text, [sample(&[("l", odd)], 0)]);
        let line = text.lines().last();
        assert_eq!(line, Some("x{l=\"a\\\\x20 \\\"b\\\"\\nc{},=é\"} 0"));
    }
}

//! Numbers for people: percent, bytes, rates and times. Every figure is cut,
//! never rounded up: what reads as done is done.

/// Units of 1024 with their bytes, largest first.
const UNITS: &[(&str, u64)] = &[
    ("PiB", 1 << 50),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];

/// Spans of time with their seconds, largest first, each with the next smaller
/// one that is shown behind it.
const SPANS: &[(u64, char, u64, char)] = &[
    (86_400, 'd', 3_600, 'h'),
    (3_600, 'h', 60, 'm'),
    (60, 'm', 1, 's'),
];

/// `done` of `total` in percent, two decimals: `99.99` until all is done.
pub fn percent(done: u64, total: u64) -> String {
    if total == 0 {
        return "0.00".to_owned();
    }
    let hundredths = u128::from(done.min(total)) * 10_000 / u128::from(total);
    decimals(hundredths)
}

/// `done` and `total` bytes in the unit that suits `total`: `3.26/100.00 GiB`.
pub fn amounts(done: u64, total: u64) -> String {
    match unit(total) {
        None => format!("{done}/{total} B"),
        Some((name, size)) => {
            let (done, total) = (hundredths(done, size), hundredths(total, size));
            format!("{}/{} {name}", decimals(done), decimals(total))
        }
    }
}

/// Bytes in the unit that suits them: `4.00 KiB`, `512 B`.
pub fn amount(bytes: u64) -> String {
    match unit(bytes) {
        None => format!("{bytes} B"),
        Some((name, size)) => format!("{} {name}", decimals(hundredths(bytes, size))),
    }
}

/// Bytes in one second: `212 MiB/s`, `9.5 MiB/s`, `17 B/s`.
pub fn rate(bytes_per_s: u64) -> String {
    match unit(bytes_per_s) {
        None => format!("{bytes_per_s} B/s"),
        Some((name, size)) => {
            let tenths = u128::from(bytes_per_s) * 10 / u128::from(size);
            let (whole, tenth) = (tenths / 10, tenths % 10);
            if whole >= 10 {
                format!("{whole} {name}/s")
            } else {
                format!("{whole}.{tenth} {name}/s")
            }
        }
    }
}

/// Seconds in the two units that matter: `45s`, `7m41s`, `2h05m`, `3d04h`.
pub fn duration(secs: u64) -> String {
    let span = SPANS.iter().find(|span| secs >= span.0);
    match span {
        None => format!("{secs}s"),
        Some((large, large_name, small, small_name)) => {
            let (whole, part) = (secs / large, secs % large / small);
            format!("{whole}{large_name}{part:02}{small_name}")
        }
    }
}

fn unit(bytes: u64) -> Option<(&'static str, u64)> {
    UNITS.iter().copied().find(|&(_, size)| bytes >= size)
}

fn hundredths(bytes: u64, size: u64) -> u128 {
    u128::from(bytes) * 100 / u128::from(size)
}

fn decimals(hundredths: u128) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_cut() {
        for (done, total, text) in [
            (0, 0, "0.00"),
            (0, 1, "0.00"),
            (417, 12_800, "3.25"),
            (12_799, 12_800, "99.99"),
            (u64::MAX - 1, u64::MAX, "99.99"),
            (u64::MAX, u64::MAX, "100.00"),
            (7, 5, "100.00"),
        ] {
            assert_eq!(percent(done, total), text);
        }
    }

    #[test]
    fn amounts_share_the_unit_of_the_total() {
        const GIB: u64 = 1 << 30;
        for (done, total, text) in [
            (3 * GIB + GIB / 4 + GIB / 90, 100 * GIB, "3.26/100.00 GiB"),
            (0, 0, "0/0 B"),
            (12, 1023, "12/1023 B"),
            (512, 1024, "0.50/1.00 KiB"),
            (GIB - 1, GIB, "0.99/1.00 GiB"),
            (u64::MAX, u64::MAX, "16383.99/16383.99 PiB"),
        ] {
            assert_eq!(amounts(done, total), text);
        }
    }

    #[test]
    fn rates() {
        for (bytes, text) in [
            (0, "0 B/s"),
            (1023, "1023 B/s"),
            (1024, "1.0 KiB/s"),
            (10_239, "9.9 KiB/s"),
            (10_240, "10 KiB/s"),
            (212 << 20, "212 MiB/s"),
            (u64::MAX, "16383 PiB/s"),
        ] {
            assert_eq!(rate(bytes), text);
        }
    }

    #[test]
    fn durations() {
        for (secs, text) in [
            (0, "0s"),
            (45, "45s"),
            (60, "1m00s"),
            (461, "7m41s"),
            (7_500, "2h05m"),
            (86_399, "23h59m"),
            (3 * 86_400 + 4 * 3_600 + 59, "3d04h"),
            (u64::MAX, "213503982334601d07h"),
        ] {
            assert_eq!(duration(secs), text);
        }
    }
}

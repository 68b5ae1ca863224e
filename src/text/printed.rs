//! A table as the kernel printed it and as it was understood, shared by all who look at it.

use std::sync::Arc;

use super::device::DeviceRef;
use super::table::{Line, Mapping, Table, Target};

/// Both of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// Its lines as they stand.
    pub lines: Arc<[Line]>,
    /// What they say.
    pub table: Arc<Table>,
}

impl From<Vec<Line>> for Printed {
    fn from(lines: Vec<Line>) -> Printed {
        Printed {
            table: Arc::new(Table::from_lines(&lines)),
            lines: lines.into(),
        }
    }
}

impl Printed {
    /// Whether a status can be one of this table: it has the same targets, over the same legs
    /// (`mirror_status`, drivers/md/dm-raid1.c).
    pub fn is_of(&self, status: &[Line]) -> bool {
        let targets = self.lines.iter().zip(&self.table.targets);
        let mut pairs = targets.zip(status);
        let same = |((line, target), status): ((&Line, &Target), &Line)| {
            let here = |line: &Line| (line.start, line.length);
            let fits = here(line) == here(status) && line.kind == status.kind;
            fits && legs_fit(target, &status.params)
        };
        status.len() == self.lines.len() && pairs.all(same)
    }
}

fn legs_fit(target: &Target, status: &str) -> bool {
    let Mapping::Mirror(mirror) = &target.mapping else {
        return true;
    };
    let mut words = status.split(' ');
    let count = words.next().and_then(|count| count.parse().ok());
    let mut legs = mirror.legs.iter();
    count == Some(mirror.legs.len())
        && legs.all(|leg| match (&leg.device, words.next()) {
            (DeviceRef::Number(number), Some(word)) => word.parse() == Ok(*number),
            // Of what is no device the status may have another name.
            (DeviceRef::Path(_), word) => word.is_some(),
            (_, None) => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_of_another_table_is_told_apart() {
        let lines = |text: &str| {
            let mut words = text.splitn(4, ' ');
            let mut next = || words.next().unwrap_or_default().to_owned();
            let (start, length) = (next().parse().unwrap(), next().parse().unwrap());
            let (kind, params) = (next(), next());
            vec![Line {
                start,
                length,
                kind,
                params,
            }]
        };
        let table = "0 64 mirror core 2 8 nosync 2 7:0 0 7:1 0 1 handle_errors";
        let printed = Printed::from(lines(table));
        for (status, fits) in [
            ("0 64 mirror 2 7:0 7:1 8/8 1 AA 1 core", true),
            ("0 64 mirror 2 7:0 7:1 3/8 1 AD 1 core", true),
            ("0 64 mirror 2 7:0 7:2 8/8 1 AA 1 core", false),
            ("0 64 mirror 3 7:0 7:1 7:2 8/8 1 AAA 1 core", false),
            ("0 65 mirror 2 7:0 7:1 8/8 1 AA 1 core", false),
            ("0 64 linear ", false),
            ("0 64 mirror ", false),
        ] {
            assert_eq!(printed.is_of(&lines(status)), fits, "{status}");
        }
        assert!(!printed.is_of(&[]));
    }
}

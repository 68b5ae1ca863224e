//! What the files of a mirror must show, worked out from its table; on the
//! kernel's engine `dmsetup` is asked as well.

use super::Lab;
use super::dm::dm;
use super::mount::Mount;

impl Lab {
    /// A table as the engine prints it: each device by its number, or a file by
    /// its path.
    pub fn printed(&self, table: &str) -> String {
        let word = |word: &str| {
            if word.starts_with('/') {
                self.number(word)
            } else {
                word.into()
            }
        };
        table.split(' ').map(word).collect::<Vec<_>>().join(" ")
    }

    /// Panics where a mirror does not show this table, or a status other than
    /// that of a mirror with all regions in sync and no error.
    pub fn assert_in_sync(&self, mount: &Mount, name: &str, table: &[&str]) {
        let tables: Vec<String> = table.iter().map(|line| self.printed(line)).collect();
        let lines = |each: &dyn Fn(&String) -> String| -> String {
            tables.iter().map(|line| each(line) + "\n").collect()
        };
        let (table, status) = (lines(&String::clone), lines(&|line| settled(line)));
        assert_eq!(mount.read(&format!("{name}/table")), table);
        assert_eq!(mount.read(&format!("{name}/status")), status);
        self.assert_agrees(mount, name);
    }

    /// Panics where `status` and `table` of a mirror are not those of `dmsetup`.
    pub fn assert_agrees(&self, mount: &Mount, name: &str) {
        if self.is_kernel() {
            for file in ["status", "table"] {
                let shown = mount.read(&format!("{name}/{file}"));
                assert_eq!(shown, dm(&format!("{file} {name}")), "{name}/{file}");
            }
        }
    }

    /// The names of all devices there are, mirrors or not.
    pub fn devices(&self, mount: &Mount) -> Vec<String> {
        if !self.is_kernel() {
            let folder = |name: &String| mount.path(name).is_dir();
            return mount.list("").into_iter().filter(folder).collect();
        }
        let names = dm("info -c --noheadings -o name");
        let names = names.lines().map(|name| name.trim().to_string());
        names.filter(|name| name != "No devices found").collect()
    }
}

/// The status of a target with this table, as dmsetup prints it, where all
/// regions are in sync and nothing has failed.
pub fn settled(table: &str) -> String {
    let words: Vec<&str> = table.split(' ').collect();
    let number = |at: usize| -> usize { words[at].parse().expect("a number") };
    let head = words[..3].join(" ");
    if words[2] != "mirror" {
        return head + " ";
    }
    let arguments = &words[5..5 + number(4)];
    let (region, log) = match words[3] {
        "core" => (arguments[0], "1 core".to_string()),
        _ => (arguments[1], format!("3 disk {} A", arguments[0])),
    };
    let regions = number(1).div_ceil(region.parse().expect("sectors"));
    let (count, first) = (number(5 + number(4)), 6 + number(4));
    let legs: Vec<&str> = (0..count).map(|leg| words[first + 2 * leg]).collect();
    let (legs, letters) = (legs.join(" "), "A".repeat(count));
    format!("{head} {count} {legs} {regions}/{regions} 1 {letters} {log}")
}

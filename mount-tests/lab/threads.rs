//! The threads of another process, as the kernel tells of them.

use std::fs;
use std::time::Duration;

/// A field of /proc/PID/task/TID/stat of each thread that has this name, by its number in
/// proc_pid_stat(5), which is above 2: 19 is nice, 41 the policy, of which SCHED_RR is 2.
pub fn field(pid: i32, name: &str, number: usize) -> Vec<i64> {
    let named = files(pid, "stat")
        .into_iter()
        .filter(|stat| stat.contains(&format!("({name})")));
    let value = |stat: String| {
        let (_, fields) = stat.rsplit_once(") ")?;
        fields.split_whitespace().nth(number - 3)?.parse().ok()
    };
    named.filter_map(value).collect()
}

/// What all of them have had of the processor (Documentation/scheduler/sched-stats.rst).
pub fn processor_time(pid: i32) -> Duration {
    let stats = files(pid, "schedstat").into_iter();
    let nanos = stats.filter_map(|stat| stat.split_whitespace().next()?.parse::<u64>().ok());
    Duration::from_nanos(nanos.sum())
}

/// A file of each of them; of one that has ended meanwhile nothing.
pub fn files(pid: i32, file: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("threads");
    let texts = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join(file)).ok());
    texts.collect()
}

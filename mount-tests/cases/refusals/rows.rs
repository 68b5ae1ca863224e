//! What is refused, a row each, and what is just not. In a row `{a}`, `{b}` and
//! `{log}` are disks, `{T}` is a folder, `{good}` a mirror that nothing is wrong
//! with; a line that begins with `#` explains those that follow.

/// A mirror that nothing is wrong with.
pub const GOOD: &str = "0 8192 mirror core 1 1024 2 {a} 0 {b} 0";

/// The rows of a text, each so many columns.
pub fn rows<const COLUMNS: usize>(text: &'static str) -> Vec<[&'static str; COLUMNS]> {
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let row = |line: &'static str| {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        columns
            .try_into()
            .unwrap_or_else(|_| panic!("{COLUMNS} columns: {line}"))
    };
    lines.map(row).collect()
}

/// Parameters that `mirror_ctr` refuses in a target of 8192 sectors: its words,
/// which ours repeat; the word or number that ours name; the parameters.
pub const CONSTRUCTORS: &str = include_str!("../../corpus/refused");

/// Lines that are no request: the errno, what its reason names, the line.
pub const LINES: &str = r#"
EINVAL | empty                |
EINVAL | table                | x:
EINVAL | length               | 0
EINVAL | kind                 | 0 8192
EINVAL | "x"                  | x 8192 mirror core 1 1024 2 {a} 0 {b} 0
EINVAL | "-1"                 | -1 8192 mirror core 1 1024 2 {a} 0 {b} 0
EINVAL | starts at 8          | 8 8192 mirror core 1 1024 2 {a} 0 {b} 0
EINVAL | zero-length          | 0 0 mirror core 1 1024 2 {a} 0 {b} 0
EINVAL | 18446744073709551616 | 0 18446744073709551616 mirror core 1 1024 2 {a} 0 {b} 0
EINVAL | mirrorr              | 0 8192 mirrorr core 1 1024 2 {a} 0 {b} 0
EINVAL | a-kind-of-16-let     | 0 8192 a-kind-of-16-let core 1 1024 2 {a} 0 {b} 0
EINVAL | linear               | 0 8192 linear {a} 0
EINVAL | zero, error          | x,,,,0 8192 zero,8192 8 error
EINVAL | ram0                 | 0 8192 mirror core 1 1024 2 ram0 0 {b} 0
EINVAL | ./ram0               | 0 8192 mirror core 1 1024 2 ./ram0 0 {b} 0
EINVAL | 1:x                  | 0 8192 mirror core 1 1024 2 1:x 0 {b} 0
EINVAL | meta.dat             | 0 8192 mirror disk 2 meta.dat 1024 2 {a} 0 {b} 0
# Numbers of which the kernel keeps 32 bits and drops the rest.
EINVAL | 4294967297           | 0 8192 mirror core 4294967297 1024 2 {a} 0 {b} 0
EINVAL | 4294968320           | 0 8192 mirror core 1 4294968320 2 {a} 0 {b} 0
EINVAL | 4294967298           | 0 8192 mirror core 1 1024 4294967298 {a} 0 {b} 0
# Names.
EINVAL | empty                | : {good}
EINVAL | "."                  | .: {good}
EINVAL | ".."                 | ..: {good}
EINVAL | control              | control: {good}
EINVAL | new                  | new: {good}
EINVAL | mirrors.json         | mirrors.json: {good}
EINVAL | /                    | a/b: {good}
EINVAL | ä                    | ä: {good}
EINVAL | "a"                  | a b: {good}
EINVAL | start                | a,b,,,,{good}
EINVAL | ','                  | a\,b,,,,{good}
EINVAL | 128                  | {128}: {good}
EINVAL | 128                  | {128},,,,{good}
EEXIST | there                | there: {good}
# The concise form.
EINVAL | commas               | x,,,{good}
EINVAL | second               | x,,,,{good};y,,,,0 8 zero
EINVAL | "r"                  | x,,,r,{good}
EINVAL | "y"                  | x,,y,,{good}
EINVAL | 1048576              | x,,1048576,,{good}
EPERM  | LVM                  | x,LVM-abc,,,{good}
EINVAL | 129                  | x,{129},,,{good}
EEXIST | THERE-UUID           | x,THERE-UUID,,,{good}
EBUSY  | {minor}              | x,,{minor},,{good}
EINVAL | Gap                  | x,,,,{good},8200 8 error
EINVAL | linear               | x,,,,{good},8192 8 linear {a}
"#;

/// The same where the name and the UUID are those of a device that is no mirror,
/// which only device-mapper has.
pub const OTHERS: &str = r#"
EEXIST | linear0              | linear0: {good}
EEXIST | TAKEN-UUID           | x,TAKEN-UUID,,,{good}
"#;

/// Devices and files that are missing, are none, are too small or in use.
pub const DEVICES: &str = r#"
ENOENT | /dev/nosuch         | 0 8192 mirror core 1 1024 2 /dev/nosuch 0 {b} 0
ENOENT | /dev/null/x         | 0 8192 mirror core 1 1024 2 {a} 0 /dev/null/x 0
ENODEV | 199:77              | 0 8192 mirror core 1 1024 2 {a} 0 199:77 0
ENODEV | {T}                 | 0 8192 mirror core 1 1024 2 {a} 0 {T} 0
ENODEV | /dev/null           | 0 8192 mirror core 1 1024 2 {a} 0 /dev/null 0
ENODEV | fifo                | 0 8192 mirror core 1 1024 2 {a} 0 {T}/fifo 0
ENOENT | /dev/nolog          | 0 8192 mirror disk 2 /dev/nolog 1024 2 {a} 0 {b} 0
ENOENT | none/log            | 0 8192 mirror disk 2 {T}/none/log 1024 2 {a} 0 {b} 0
ENODEV | {T}                 | 0 8192 mirror disk 2 {T} 1024 2 {a} 0 {b} 0
ENODEV | 199:78              | 0 8192 mirror disk 2 199:78 1024 2 {a} 0 {b} 0
# A log is made before a leg turns out to be missing, or to be a log.
ENOENT | {T}/none            | 0 8192 mirror disk 2 {T}/made 1024 2 {a} 0 {T}/none 0
ENOENT | {T}/made            | 0 8192 mirror disk 2 {T}/made 1024 2 {a} 0 {T}/made 0
EINVAL | nosuchtarget        | x,,,,0 8192 mirror disk 2 {T}/made 1024 2 {a} 0 {b} 0,8192 8 nosuchtarget x
# Sizes.
ENOSPC | 524288              | 0 524296 mirror core 1 1024 2 {a} 0 {b} 0
ENOSPC | 516097              | 0 8192 mirror core 1 1024 2 {a} 0 {b} 516097
ENOSPC | {T}/leg             | 0 8192 mirror core 1 1024 2 {T}/leg 8 {b} 0
ENOSPC | 8192 sectors        | 0 8200 mirror core 1 1024 2 {a} 0 {T}/leg 0
ENOSPC | {T}/small           | 0 8192 mirror disk 2 {T}/small 1024 2 {a} 0 {b} 0
ENOSPC | 1536                | 0 8192 mirror disk 2 {T}/short 1024 2 {a} 0 {b} 0
ENOSPC | 524288              | 0 8192 mirror disk 2 {T}/leg 2 2 {a} 0 {b} 524288
ENOSPC | 8185                | x,,,,{good},8192 8 linear {T}/leg 8185
# One place twice.
EINVAL | {a}                 | 0 8192 mirror core 1 1024 2 {a} 0 {a} 0
EINVAL | {a}                 | 0 8192 mirror core 1 1024 2 {a} 0 {a} 8191
EINVAL | {T}/soft            | 0 8192 mirror core 1 1024 2 {a} 0 {T}/soft 4096
EINVAL | {numbered}          | 0 8192 mirror core 1 1024 2 {a} 0 {numbered} 0
EINVAL | {T}/leg             | 0 8192 mirror core 1 1024 2 {T}/leg 0 {T}/leg 0
EINVAL | {T}/hard            | 0 8192 mirror core 1 1024 2 {T}/leg 0 {T}/hard 0
EINVAL | {a}                 | 0 8192 mirror disk 2 {a} 1024 2 {a} 0 {b} 0
EINVAL | {b}                 | x,,,,{good},8192 8 linear {b} 8191
# In use.
EBUSY  | there               | 0 8192 mirror core 1 1024 2 {a} 0 {leg} 0
# Logs of others.
EINVAL | 99 regions          | 0 8192 mirror disk 2 {T}/other 1024 2 {a} 0 {b} 0
EINVAL | 99 regions          | 0 8192 mirror disk 3 {T}/other 1024 sync 2 {a} 0 {b} 0
"#;

/// Block devices, and files behind them, that somebody uses.
pub const BLOCKS: &str = r#"
EBUSY  | mounted on {T}/ext4 | 0 8192 mirror core 1 1024 2 {a} 0 {mounted} 0
EBUSY  | mounted on {T}/ext4 | 0 8192 mirror disk 2 {mounted} 1024 2 {a} 0 {b} 0
EBUSY  | /dev/loop           | 0 8192 mirror core 1 1024 2 {T}/attached 0 {b} 0
EBUSY  | /dev/loop           | 0 8192 mirror disk 2 {T}/attached 1024 2 {a} 0 {b} 0
EBUSY  | {exclusive}         | 0 8192 mirror core 1 1024 2 {a} 0 {exclusive} 0
"#;

/// Partitions, and what swap and other mappings use: not every machine has such,
/// and none that others use too should get them.
pub const MAPPED: &str = r#"
EINVAL | {whole}p1           | 0 8192 mirror core 1 1024 2 {whole} 0 {whole}p1 0
EBUSY  | swap                | 0 8192 mirror core 1 1024 2 {swap} 0 {b} 0
EBUSY  | holder              | 0 8192 mirror core 1 1024 2 {a} 0 {mapped} 100000
EBUSY  | holder              | 0 8192 mirror disk 2 {mapped} 1024 2 {a} 0 {b} 0
EBUSY  | through             | 0 8192 mirror core 1 1024 2 {a} 0 {image} 0
"#;

/// What is written to which `ctl`; `^G` is a bell.
pub const VERBS: &str = r#"
EINVAL | verb    | m0/ctl |
EINVAL | stop    | m0/ctl | stop
EINVAL | Suspend | m0/ctl | Suspend
EINVAL | now     | m0/ctl | resume now
EINVAL | now     | m0/ctl | suspend now
EINVAL | now     | m0/ctl | suspend noflush now
EINVAL | now     | m0/ctl | remove deferred now
EINVAL | 1       | m0/ctl | remove 1
EINVAL | \u{7}   | m0/ctl | ^G
"#;

/// The same to a mirror of LVM's, which is one of device-mapper's.
pub const LVM_VERBS: &str = r#"
EPERM  | LVM     | lv/ctl | suspend
EPERM  | LVM     | lv/ctl | resume
EPERM  | LVM     | lv/ctl | remove
EPERM  | LVM     | lv/ctl | remove deferred
"#;

/// Tables that a running mirror does not take; ` / ` is a newline.
pub const TABLES: &str = r#"
EINVAL | empty                   |
EINVAL | 1000                    | 0 8192 mirror core 1 1000 2 {a} 0 {b} 0
ENOENT | /dev/nosuch             | 0 8192 mirror core 1 1024 2 {a} 0 /dev/nosuch 0
ENOSPC | 524288                  | 0 8192 mirror core 1 1024 2 {a} 0 {b} 524288
EINVAL | {a}                     | 0 8192 mirror core 1 1024 2 {a} 0 {a} 8
ENOENT | {T}/none                | 0 8192 mirror disk 2 {T}/made 1024 2 {a} 0 {T}/none 0
EINVAL | nosuchtarget            | 0 8192 mirror disk 2 {T}/made 1024 2 {a} 0 {b} 0 / 8192 8 nosuchtarget x
"#;

/// The same where a mirror is a device that others can stand on, and where the
/// kernel refuses, or would refuse at the resume and leave the device suspended.
pub const DEVICE_TABLES: &str = r#"
EINVAL | itself                  | 0 64 mirror core 1 8 2 {a} 0 /dev/mapper/upper 0
EINVAL | itself                  | 0 64 linear /dev/mapper/upper 0
EINVAL | unknown target type     | 0 8192 mirror disk 2 {T}/made 1024 2 {a} 0 {b} 0 / 8192 8 nosuchtarget x
# Found by the kernel only when the device is resumed: blocks of 4 KiB.
EINVAL | logical blocks of 4096 bytes | 0 8184 mirror core 1 1024 2 {a} 0 {4k} 1
EINVAL | logical blocks of 4096 bytes | 0 8184 mirror disk 2 {T}/made 1024 2 {a} 0 {4k} 1
"#;

/// What only the kernel finds: its own words are in the reason.
pub const KERNEL: &str = r#"
EINVAL | nosuchtarget: unknown target type          | x,,,,{good},8192 8 nosuchtarget y
EINVAL | striped: Not enough destinations specified | x,,,,{good},8192 24 striped 3 8 {a} 9000
EINVAL | striped: Target length not divisible by    | x,,,,{good},8192 9 striped 2 8 {a} 9000 {b} 9000
EINVAL | delay:                                     | x,,,,{good},8192 8 delay {a} 9000
EINVAL | not aligned to h/w logical block size 4096 | 0 8184 mirror core 1 1024 2 {a} 0 {4k} 1 force=yes
"#;

/// Tables at the edge of what the kernel takes, and how it prints them where
/// that differs.
pub const CORNERS: &str = r#"
{good} 0                                                                                       | {good}
0 64 mirror core 1 2 2 {a} 0 {b} 0                                                             |
0 8192 mirror core 1 8192 2 {a} 0 {b} 0                                                        |
0 8193 mirror core 1 1024 2 {a} 1 {b} 7                                                        |
0 64 mirror core 1 8 2 {a} 0 {a} 64                                                            |
0 64 mirror core 1 8 2 {a} 524224 {b} 524224                                                   |
0 64 mirror core 2 8 sync 9 {a} 0 {b} 0 {b} 64 {b} 128 {b} 192 {b} 256 {b} 320 {b} 384 {b} 448 |
00 064 mirror core 01 008 02 {a} 00 {b} 000                                                    | 0 64 mirror core 1 8 2 {a} 0 {b} 0
0 64 mirror core 1 8 2 {a} 0 {b} 0 3 handle_errors handle_errors keep_log                      | 0 64 mirror core 1 8 2 {a} 0 {b} 0 2 handle_errors keep_log
0 64 mirror core 1 8 2 {a} 0 {b} 0 2 keep_log handle_errors                                    | 0 64 mirror core 1 8 2 {a} 0 {b} 0 2 handle_errors keep_log
0 64 mirror disk 3 {log} 8 nosync 2 {a} 0 {b} 0 1 handle_errors                                |
0 64 mirror disk 2 {log} 64 2 {a} 0 {b} 0                                                      |
"#;

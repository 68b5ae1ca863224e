//! A device of device-mapper (drivers/md/dm.c, dm-ioctl.c): two tables, of which one
//! is live, and the writes that wait while it is suspended.

use mirrorfs::engine::Info;
use mirrorfs::error::{Errno, Error, Result};
use mirrorfs::text::device::{DevNo, DeviceRef};
use mirrorfs::text::mirror;
use mirrorfs::text::table::{Line, Mapping, Table};

use super::disks::{BLOCKS, SECTORS, Version};
use super::log::Log;
use super::mirror::{Bio, Ground, Held, Leg, Mirror, Why};

/// The major number of the devices.
const MAJOR: u32 = 254;

/// The major number of the disks; their minor numbers are their places.
pub const DISK: u32 = 8;

/// A target of a table.
#[derive(Debug)]
pub enum Target {
    Mirror(Box<Mirror>),
    Linear {
        start: usize,
        length: usize,
        leg: Leg,
    },
}

/// A table that was loaded.
#[derive(Debug)]
pub struct Loaded {
    pub lines: Vec<Line>,
    pub targets: Vec<Target>,
}

fn disk(device: &DeviceRef, disks: usize) -> Result<usize> {
    let number = device.number().filter(|number| number.major == DISK);
    let place = number.map(|number| number.minor as usize);
    let found = place.filter(|place| *place < disks);
    found.ok_or_else(|| Error::new(Errno::ENODEV, format!("{device}: Device lookup failure")))
}

fn blocks(sectors: u64) -> usize {
    assert_eq!(
        sectors % SECTORS,
        0,
        "{sectors} sectors are no whole blocks"
    );
    (sectors / SECTORS) as usize
}

impl Loaded {
    /// `dm_table_add_target`.
    pub fn new(lines: &[Line], disks: usize) -> Result<Loaded> {
        let table = Table::from_lines(lines);
        let mut targets = Vec::new();
        for target in &table.targets {
            let span = (blocks(target.start), blocks(target.length));
            targets.push(match &target.mapping {
                Mapping::Mirror(mirror) => Target::Mirror(Box::new(made(mirror, span, disks)?)),
                Mapping::Linear(linear) => Target::Linear {
                    start: span.0,
                    length: span.1,
                    leg: (disk(&linear.device, disks)?, blocks(linear.offset)),
                },
                Mapping::Other { kind, .. } => {
                    return Err(Error::invalid(format!("unknown target type {kind}")));
                }
            });
        }
        Ok(Loaded {
            lines: table.to_lines(),
            targets,
        })
    }

    pub fn length(&self) -> usize {
        let end = |target: &Target| match target {
            Target::Mirror(mirror) => mirror.start + mirror.length,
            Target::Linear { start, length, .. } => start + length,
        };
        self.targets.last().map_or(0, end)
    }

    /// `dm_calculate_queue_limits`: only a resume finds out.
    fn fits(&self) -> bool {
        self.targets.iter().all(|target| match target {
            Target::Mirror(mirror) => {
                let mut legs = mirror.legs.iter();
                legs.all(|(_, offset)| offset + mirror.length <= BLOCKS)
            }
            Target::Linear { length, leg, .. } => leg.1 + length <= BLOCKS,
        })
    }

    pub fn mirrors(&self) -> impl Iterator<Item = &Mirror> {
        self.targets.iter().filter_map(|target| match target {
            Target::Mirror(mirror) => Some(mirror.as_ref()),
            Target::Linear { .. } => None,
        })
    }

    pub fn mirrors_mut(&mut self) -> impl Iterator<Item = &mut Mirror> {
        self.targets.iter_mut().filter_map(|target| match target {
            Target::Mirror(mirror) => Some(mirror.as_mut()),
            Target::Linear { .. } => None,
        })
    }

    pub fn at(&self, block: usize) -> &Target {
        let mut targets = self.targets.iter();
        let found = targets.find(|target| match target {
            Target::Mirror(mirror) => block < mirror.start + mirror.length,
            Target::Linear { start, length, .. } => block < start + length,
        });
        found.expect("a block of the device")
    }
}

fn made(mirror: &mirror::Mirror, span: (usize, usize), disks: usize) -> Result<Mirror> {
    let log = mirror.log_device().map(|device| disk(device, disks));
    let legs = mirror.legs.iter();
    let legs = legs.map(|leg| Ok((disk(&leg.device, disks)?, blocks(leg.offset))));
    let legs = legs.collect::<Result<Vec<Leg>>>()?;
    let region = blocks(mirror.region().unwrap_or(SECTORS));
    let log = Log::new(log.transpose()?, mirror.sync(), span.1.div_ceil(region));
    let handled = mirror.features.handle_errors;
    Ok(Mirror::new(span, legs, log, region, handled))
}

/// The device.
#[derive(Debug)]
pub struct Device {
    pub name: String,
    pub uuid: String,
    pub minor: u32,
    pub event_nr: u32,
    /// How often it was resumed.
    pub life: u64,
    pub live: Option<Loaded>,
    pub inactive: Option<Loaded>,
    pub suspended: bool,
    /// How often it is open.
    pub open: u32,
    waiting: Vec<Bio>,
}

impl Device {
    pub fn new(name: &str, uuid: &str, minor: u32) -> Device {
        Device {
            name: name.into(),
            uuid: uuid.into(),
            minor,
            event_nr: 0,
            life: 0,
            live: None,
            inactive: None,
            suspended: false,
            open: 0,
            waiting: Vec::new(),
        }
    }

    pub fn dev(&self) -> DevNo {
        let minor = self.minor;
        DevNo {
            major: MAJOR,
            minor,
        }
    }

    pub fn info(&self) -> Info {
        Info {
            name: self.name.clone(),
            uuid: self.uuid.clone(),
            dev: self.dev(),
            event_nr: self.event_nr,
            open_count: self.open,
            suspended: self.suspended,
            read_only: false,
            live: self.live.is_some(),
            inactive: self.inactive.is_some(),
            deferred: false,
        }
    }

    /// Writes that have not come to their end.
    pub fn under_way(&self) -> usize {
        let mirrors = self.live.iter().flat_map(Loaded::mirrors);
        self.waiting.len() + mirrors.map(Mirror::under_way).sum::<usize>()
    }

    /// Blocks of the live table.
    pub fn length(&self) -> usize {
        self.live.as_ref().map_or(0, Loaded::length)
    }

    /// A program's write. The target's thread looks at it at its next turn.
    pub fn submit(&mut self, bio: Bio, ground: &mut Ground) {
        let Some(live) = self.live.as_mut().filter(|_| !self.suspended) else {
            return self.waiting.push(bio);
        };
        for target in &mut live.targets {
            match target {
                Target::Mirror(mirror) if bio.block < mirror.start + mirror.length => {
                    return mirror.submit(bio);
                }
                Target::Linear { start, length, leg } if bio.block < *start + *length => {
                    let block = bio.block - *start + leg.1;
                    let written = ground.disks[leg.0].write(block, bio.version);
                    return ground.done.push((bio, written.map_err(|_| Why::Alone)));
                }
                _ => {}
            }
        }
    }

    /// The targets' threads take their turns.
    pub fn work(&mut self, ground: &mut Ground) {
        if !self.suspended {
            let mirrors = self.live.iter_mut().flat_map(Loaded::mirrors_mut);
            mirrors.for_each(|mirror| mirror.work(ground));
        }
    }

    /// Copy a little; whether there was anything to copy.
    pub fn advance(&mut self, ground: &mut Ground) -> bool {
        let mirrors = self.live.iter_mut().flat_map(Loaded::mirrors_mut);
        let moved: Vec<bool> = mirrors.map(|mirror| mirror.advance(ground)).collect();
        moved.contains(&true)
    }

    /// What a read of a block answers; the legs note errors where `noting`.
    pub fn read(
        &mut self,
        block: usize,
        disks: &[super::disks::Disk],
        noting: bool,
    ) -> Result<Version, ()> {
        let live = self.live.as_mut().expect("a table");
        for target in &mut live.targets {
            match target {
                Target::Mirror(mirror) if block < mirror.start + mirror.length => {
                    let mut faults = mirror.faults.clone();
                    let answer = mirror.read(&mut faults, block, disks);
                    if noting {
                        mirror.faults = faults;
                    }
                    return answer;
                }
                Target::Linear { start, length, leg } if block < *start + *length => {
                    return disks[leg.0].read(block - *start + leg.1).map_err(drop);
                }
                _ => {}
            }
        }
        Err(())
    }

    /// Hold I/O.
    pub fn suspend(&mut self, held: Held, ground: &mut Ground) {
        if self.suspended {
            return;
        }
        for mirror in self.live.iter_mut().flat_map(Loaded::mirrors_mut) {
            mirror.suspend(held, ground);
            self.waiting.append(&mut mirror.requeued);
        }
        self.suspended = true;
    }

    /// Switch to the inactive table, if any, and resume I/O.
    pub fn resume(&mut self, ground: &mut Ground) -> Result<()> {
        if let Some(new) = self.inactive.take() {
            self.suspend(Held::Fail, ground);
            if !new.fits() {
                return Err(Error::invalid("a leg is too small"));
            }
            self.live = Some(new);
        }
        if self.live.is_none() {
            return Err(Error::invalid("there is no table"));
        }
        if self.suspended {
            self.suspended = false;
            self.life += 1;
            let mirrors = self.live.iter_mut().flat_map(Loaded::mirrors_mut);
            mirrors.for_each(|mirror| mirror.resume(ground));
            for bio in std::mem::take(&mut self.waiting) {
                self.submit(bio, ground);
            }
        }
        Ok(())
    }

    /// Count the events that its targets have raised; whether there are any.
    pub fn count_events(&mut self) -> bool {
        let mirrors = self.live.iter_mut().flat_map(Loaded::mirrors_mut);
        let raised = mirrors.map(|mirror| std::mem::take(&mut mirror.faults.events));
        let raised: u32 = raised.sum();
        self.event_nr += raised;
        raised > 0
    }

    /// The status lines of the live table.
    pub fn status(&self) -> Vec<Line> {
        let live = self.live.iter();
        let lines = live.flat_map(|live| live.lines.iter().zip(&live.targets));
        let status = |(line, target): (&Line, &Target)| Line {
            params: match target {
                Target::Mirror(mirror) => words(mirror),
                Target::Linear { .. } => String::new(),
            },
            ..line.clone()
        };
        lines.map(status).collect()
    }
}

/// `mirror_status`.
fn words(mirror: &Mirror) -> String {
    let legs: Vec<String> = mirror
        .legs
        .iter()
        .map(|leg| format!("{DISK}:{}", leg.0))
        .collect();
    let log = match mirror.log.disk {
        None => "1 core".to_string(),
        Some(disk) => format!(
            "3 disk {DISK}:{disk} {}",
            if mirror.log.failed { 'D' } else { 'A' }
        ),
    };
    format!(
        "{} {} {}/{} 1 {} {log}",
        legs.len(),
        legs.join(" "),
        mirror.log.sync_count(),
        mirror.log.regions(),
        mirror.faults.letters()
    )
}

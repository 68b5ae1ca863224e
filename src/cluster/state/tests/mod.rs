//! The state of a log beside kernels that behave as drivers/md/dm-raid1.c and
//! dm-region-hash.c do, over legs that are numbers.

mod disk;
mod kernel;
mod world;

use proptest::prelude::*;

use self::world::World;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Whatever happens in whatever order: what is called in sync is the same on all legs,
    /// and in the end all is.
    #[test]
    fn what_is_in_sync_is_equal(machines in 1_u32..4, steps in prop::collection::vec(any::<(u8, u8, u8)>(), 0..400)) {
        let mut world = World::new(machines);
        for step in steps {
            world.step(step);
            world.check();
        }
        world.come_to_rest();
        world.check();
    }
}

//! Machines that join, die, are cut off and come back, over an engine that loses what it may.

mod machine;
mod world;

use proptest::prelude::*;

use self::world::World;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// What was acknowledged is known to all who go on, they all know the same, and once all
    /// hear each other again all go on.
    #[test]
    fn what_was_acknowledged_is_known(machines in 1_u32..6, steps in prop::collection::vec(any::<(u8, u8, u8)>(), 0..300)) {
        let mut world = World::new(machines);
        for step in steps {
            world.step(step);
            world.check();
        }
        world.come_to_rest();
        world.check();
    }
}

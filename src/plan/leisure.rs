//! How long somebody who only looks at disks leaves them to others. Pure.

use std::time::Duration;

/// The longest that a piece took which is waited for on behalf of others: of a disk that
/// takes longer others have nothing either.
const LONGEST: Duration = Duration::from_millis(100);

/// What he is to mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orders {
    /// Bytes that may be copied in a second; none where as many as can be.
    pub limit: Option<u64>,
    /// The percent of time that copying may take.
    pub throttle: u32,
    /// Whether others have read or written meanwhile.
    pub others: bool,
}

/// How long to pause after so many bytes that took a while; none for as long as the orders
/// are what they are.
pub fn pause(bytes: u64, took: Duration, orders: Orders) -> Option<Duration> {
    let share = orders.throttle.clamp(1, 100);
    let throttled = took.saturating_mul(100 - share) / share;
    let others = if orders.others {
        took.min(LONGEST)
    } else {
        Duration::ZERO
    };
    let limited = match orders.limit {
        Some(0) => return None,
        Some(limit) => {
            let micros = u128::from(bytes) * 1_000_000 / u128::from(limit);
            let whole = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
            whole.saturating_sub(took)
        }
        None => Duration::ZERO,
    };
    Some(limited.max(throttled).max(others))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_order_counts() {
        let millis = Duration::from_millis;
        let orders = |limit, throttle, others| Orders {
            limit,
            throttle,
            others,
        };
        let after = |orders| pause(1 << 20, millis(10), orders);
        assert_eq!(after(orders(None, 100, false)), Some(Duration::ZERO));
        assert_eq!(after(orders(None, 100, true)), Some(millis(10)));
        assert_eq!(after(orders(None, 25, true)), Some(millis(30)));
        assert_eq!(after(orders(Some(1 << 20), 100, true)), Some(millis(990)));
        assert_eq!(after(orders(Some(0), 100, false)), None);
        let slow = pause(1, Duration::from_secs(5), orders(None, 100, true));
        assert_eq!(slow, Some(LONGEST));
    }
}

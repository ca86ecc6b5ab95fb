//! Random numbers from a seed, the same on every machine.

/// A stream of random numbers (SplitMix64).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The stream of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The stream of this seed that belongs to a part of it.
    #[must_use]
    pub fn part(&self, part: u64) -> Self {
        let mut mixed = Self(self.0 ^ part.wrapping_mul(0xA24B_AED4_963E_E407));
        Self(mixed.next())
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// A number from zero up to, not including, one.
    pub fn share(&mut self) -> f64 {
        let bits = u32::try_from(self.next() >> 32).unwrap_or(0);
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_and_its_parts_others() {
        let numbers = |mut chance: Chance| -> Vec<u64> { (0..4).map(|_| chance.next()).collect() };
        assert_eq!(numbers(Chance::new(7)), numbers(Chance::new(7)));
        assert_ne!(numbers(Chance::new(7).part(1)), numbers(Chance::new(7).part(2)));
        let mut chance = Chance::new(1);
        for _ in 0..1_000 {
            assert!((3..=5).contains(&chance.between(3, 5)));
            assert!((0.0..1.0).contains(&chance.share()));
        }
    }
}

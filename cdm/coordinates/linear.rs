//! Exact linear maps of numbers: what turns values in one unit of time into values in another.

/// `(value * factor + offset) / divisor`, in integers without a common divisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LinearMap {
    factor: i128,
    offset: i128,
    divisor: i128,
}

impl LinearMap {
    /// `divisor` must be positive.
    pub(super) fn new(factor: i128, offset: i128, divisor: i128) -> Self {
        let common = gcd(gcd(factor, offset), divisor).max(1);
        Self { factor: factor / common, offset: offset / common, divisor: divisor / common }
    }

    /// It changes nothing.
    pub fn is_identity(&self) -> bool {
        (self.factor, self.offset, self.divisor) == (1, 0, 1)
    }

    /// It makes integers of integers.
    pub fn keeps_integers(&self) -> bool {
        self.divisor == 1
    }

    /// Of an integer, when that is an integer too.
    pub fn integer(&self, value: i128) -> Option<i128> {
        let sum = value.checked_mul(self.factor)?.checked_add(self.offset)?;
        (sum % self.divisor == 0).then_some(sum / self.divisor)
    }

    /// Of a float, to its precision; not a number stays none.
    pub fn float(&self, value: f64) -> f64 {
        self.exactly(value).unwrap_or_else(|| {
            // Too large or too small for integers: rounded at every step.
            (value * self.factor as f64 + self.offset as f64) / self.divisor as f64
        })
    }

    fn exactly(&self, value: f64) -> Option<f64> {
        let (digits, exponent) = split(value)?;
        let product = digits.checked_mul(self.factor)?;
        let shift = exponent.unsigned_abs();
        if shift > 126 {
            return None;
        }
        let power = 1_i128 << shift;
        if exponent >= 0 {
            return Some(ratio(product.checked_mul(power)?.checked_add(self.offset)?, self.divisor));
        }
        let sum = product.checked_add(self.offset.checked_mul(power)?)?;
        Some(ratio(sum, self.divisor.checked_mul(power)?))
    }
}

/// `value = digits * 2^exponent`, the digits odd or 0; `None` for what is no finite number.
pub(super) fn split(value: f64) -> Option<(i128, i32)> {
    if !value.is_finite() {
        return None;
    }
    let bits = value.to_bits();
    let fraction = i128::from(bits & ((1 << 52) - 1));
    // Eleven bits.
    let stored = i32::try_from(bits >> 52 & 0x7ff).unwrap_or_default();
    let (digits, exponent) =
        if stored == 0 { (fraction, -1074) } else { (fraction | 1 << 52, stored - 1075) };
    if digits == 0 {
        return Some((0, 0));
    }
    let even = digits.trailing_zeros();
    let digits = digits >> even;
    let exponent = exponent + i32::try_from(even).unwrap_or_default();
    Some((if value.is_sign_negative() { -digits } else { digits }, exponent))
}

/// The float nearest to a fraction.
pub(super) fn ratio(numerator: i128, denominator: i128) -> f64 {
    let common = gcd(numerator, denominator).max(1);
    let (numerator, denominator) = (numerator / common, denominator / common);
    let sign = if (numerator < 0) == (denominator < 0) { 1.0 } else { -1.0 };
    let (mut top, mut bottom) = (numerator.unsigned_abs(), denominator.unsigned_abs());
    // Scaled so that the quotient has 57 bits or more (odd divisors here are below 2^70): its 53 bits are then
    // rounded once, with a bit that stands for what is left, by the conversion to a float.
    let mut exponent = 0_i32;
    while top.leading_zeros() > 0 && top > 0 && top / bottom < 1 << 64 {
        top <<= 1;
        exponent -= 1;
    }
    while bottom > 1 && top / bottom < 1 << 64 && bottom % 2 == 0 {
        bottom >>= 1;
        exponent -= 1;
    }
    let (quotient, rest) = (top / bottom, top % bottom);
    let quotient = quotient | u128::from(rest != 0);
    sign * quotient as f64 * 2_f64.powi(exponent)
}

fn gcd(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    i128::try_from(a).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_rounded_once() {
        assert_eq!(ratio(1, 3).to_bits(), (1.0_f64 / 3.0).to_bits());
        assert_eq!(ratio(-2, 3).to_bits(), (-2.0_f64 / 3.0).to_bits());
        assert_eq!(ratio(0, 3).to_bits(), 0_f64.to_bits());
        assert_eq!(ratio(i128::MAX, i128::MAX).to_bits(), 1_f64.to_bits());
        assert_eq!(ratio(1, 1 << 100).to_bits(), 2_f64.powi(-100).to_bits());
        // 2^53 + 1 is a tie, and even wins; with something more it is not.
        assert_eq!(ratio((1 << 53) + 1, 1).to_bits(), (2_f64.powi(53)).to_bits());
        assert_eq!(ratio(((1 << 53) + 1) * 1000 + 1, 1000).to_bits(), (2_f64.powi(53) + 2.0).to_bits());
    }

    #[test]
    fn floats_come_apart() {
        for value in [0.0_f64, 1.0, -0.1, 1e300, 5e-324, 6.25, -3e-7] {
            let (digits, exponent) = split(value).unwrap();
            // In two steps: 2^-1074 alone is the smallest float there is.
            let half = exponent / 2;
            let put_together: f64 = digits as f64 * 2_f64.powi(half) * 2_f64.powi(exponent - half);
            assert_eq!(put_together.to_bits(), value.to_bits());
        }
        assert_eq!(split(f64::NAN), None);
        assert_eq!(split(f64::INFINITY), None);
    }

    #[test]
    fn maps() {
        let hours_to_days = LinearMap::new(3600, 86_400 * 10, 86_400);
        assert_eq!(hours_to_days, LinearMap { factor: 1, offset: 240, divisor: 24 });
        assert_eq!(hours_to_days.integer(48), Some(12));
        assert_eq!(hours_to_days.integer(47), None);
        assert_eq!(hours_to_days.float(36.0).to_bits(), 11.5_f64.to_bits());
        assert!(hours_to_days.float(f64::NAN).is_nan());
        assert!(!hours_to_days.keeps_integers());
        assert!(LinearMap::new(5, 0, 5).is_identity());
        assert_eq!(LinearMap::new(3600, 1, 1).integer(i128::MAX), None);
        assert!((LinearMap::new(3600, 1, 1).float(1e200) - 3.6e203).abs() < 1e190);
    }
}

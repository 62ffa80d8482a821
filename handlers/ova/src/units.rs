//! Units of bytes: DMTF DSP0004, "Programmatic Units", and the words that OVF 0.9 and VirtualBox write.

/// How many bytes `unit` is: `byte`, `byte * 2^20`, `byte * 1024 * 1024`, `MegaBytes`. `None` is not a unit of bytes,
/// or more than 64 bits count.
pub(crate) fn bytes(unit: &str) -> Option<u64> {
    let lower = unit.trim().to_ascii_lowercase();
    let mut parts = lower.split('*').map(str::trim);
    let base = match parts.next()? {
        "byte" | "bytes" => 1_u64,
        "kb" | "kilobyte" | "kilobytes" => 1 << 10,
        "mb" | "megabyte" | "megabytes" => 1 << 20,
        "gb" | "gigabyte" | "gigabytes" => 1 << 30,
        "tb" | "terabyte" | "terabytes" => 1 << 40,
        _ => return None,
    };
    parts.try_fold(base, |product, part| product.checked_mul(factor(part)?))
}

/// A whole number above zero, or a power of two such.
fn factor(text: &str) -> Option<u64> {
    let Some((base, exponent)) = text.split_once('^') else { return whole(text) };
    let exponent = u32::try_from(number(exponent.trim())?).ok()?;
    whole(base.trim())?.checked_pow(exponent)
}

fn whole(text: &str) -> Option<u64> {
    number(text).filter(|number| *number > 0)
}

/// Decimal digits, and nothing else.
pub(crate) fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_are_whole_numbers_of_bytes() {
        for (unit, expected) in [
            ("byte", Some(1)),
            ("Byte", Some(1)),
            ("byte * 2^20", Some(1 << 20)),
            ("byte*2^30", Some(1 << 30)),
            ("byte * 10^3", Some(1000)),
            ("byte * 1024 * 1024", Some(1 << 20)),
            ("byte * 2^0", Some(1)),
            ("byte * 2^63", Some(1 << 63)),
            ("MegaBytes", Some(1 << 20)),
            ("GigaBytes", Some(1 << 30)),
            ("", None),
            ("byte * 2^64", None),
            ("byte * 2^63 * 2", None),
            ("byte * 2^4294967296", None),
            ("byte * 0", None),
            ("byte * 0^0", None),
            ("byte *", None),
            ("byte * -2", None),
            ("byte * 2^-1", None),
            ("byte * 2^2^2", None),
            ("byte / 8", None),
            ("hertz * 10^6", None),
            ("2^20 * byte", None),
        ] {
            assert_eq!(bytes(unit), expected, "{unit:?}");
        }
    }

    proptest! {
        #[test]
        fn powers_of_two_are_shifts(exponent in 0_u32..80) {
            prop_assert_eq!(bytes(&format!("byte * 2^{exponent}")), 1_u64.checked_shl(exponent));
        }

        #[test]
        fn products_are_those_of_wider_numbers(
            (word, unit) in proptest::sample::select(vec![("byte", 1_u128), ("KiloBytes", 1 << 10), ("TB", 1 << 40)]),
            factor in 1_u32..,
            (base, exponent) in (1_u32..100, 0_u32..20),
        ) {
            // At most 2^40 * 2^32, times what is below 2^133: as far as the model counts, it is no number of 64 bits either.
            let power = u128::from(base).checked_pow(exponent);
            let product = power.and_then(|power| power.checked_mul(unit * u128::from(factor)));
            let expected = product.and_then(|product| u64::try_from(product).ok());
            prop_assert_eq!(bytes(&format!("{word} * {factor} * {base}^{exponent}")), expected);
        }

        #[test]
        fn any_text_is_a_unit_or_none(text in "[byte*^0-9 ]{0,40}") {
            let _ = bytes(&text);
        }
    }
}

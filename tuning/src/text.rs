//! How the files of `/proc` and `/sys` write their values. Pure; trusts no length and no number.

use crate::host::Host;

/// CPUs of a list that are looked at: more than the kernel can be built for.
const MOST_CPUS: usize = 8192;

/// The value as two readings of it can be compared: the bracketed word of a choice, else words with single spaces.
pub(crate) fn normal(text: &str) -> String {
    chosen(text).unwrap_or_else(|| text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The bracketed word of a choice such as `always [madvise] never`.
pub(crate) fn chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word.to_string())
}

/// The words of a choice, the bracketed one too.
pub(crate) fn choices(text: &str) -> Vec<String> {
    text.split_whitespace().map(|word| word.trim_matches(['[', ']']).to_string()).collect()
}

pub(crate) fn number(host: &dyn Host, path: &str) -> Option<u64> {
    host.read(path)?.trim().parse().ok()
}

/// The trimmed text of a file, unless it is empty.
pub(crate) fn word(host: &dyn Host, path: &str) -> Option<String> {
    Some(host.read(path)?.trim().to_string()).filter(|text| !text.is_empty())
}

/// The value of a row such as `Seccomp: 0`.
pub(crate) fn row<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// CPUs or nodes of a list such as `0-3,8`; what is no number is left out.
pub(crate) fn list(text: &str) -> Vec<usize> {
    let parts = text.trim().split(',').filter_map(range);
    parts.flatten().take(MOST_CPUS).collect()
}

pub(crate) fn list_has(text: &str, number: usize) -> bool {
    text.trim().split(',').filter_map(range).any(|range| range.contains(&number))
}

fn range(part: &str) -> Option<std::ops::RangeInclusive<usize>> {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
}

/// A CPU mask in the form in which the kernel has shown one: as many digits, in groups of eight. `None` where a CPU
/// does not fit.
pub(crate) fn mask_like(shown: &str, cpus: &[usize]) -> Option<String> {
    let shape = shown.trim();
    let digits = shape.chars().filter(char::is_ascii_hexdigit).count();
    let mut values = vec![0_u8; digits];
    for cpu in cpus {
        let place = digits.checked_sub(cpu / 4 + 1)?;
        values[place] |= 1 << (cpu % 4);
    }
    let mut next = values.into_iter();
    let digit = |value: u8| char::from_digit(value.into(), 16);
    shape.chars().map(|c| if c == ',' { Some(c) } else { digit(next.next()?) }).collect()
}

/// Bytes in the largest unit that says them exactly enough: `8 MiB`.
pub(crate) fn bytes(value: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.iter().find(|(_, unit)| value >= *unit) {
        Some((name, unit)) if value.is_multiple_of(*unit) => format!("{} {name}", value / unit),
        Some((name, unit)) => format!("{:.1} {name}", value as f64 / *unit as f64),
        None => format!("{value} bytes"),
    }
}

/// `1 CPU`, `2 CPUs`.
pub(crate) fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_and_a_tabbed_row_have_a_normal_form() {
        assert_eq!(normal("always [madvise] never\n"), "madvise");
        assert_eq!(normal("4096\t131072\t6291456\n"), "4096 131072 6291456");
        assert_eq!(choices("none [mq-deadline] kyber"), ["none", "mq-deadline", "kyber"]);
    }

    #[test]
    fn lists_are_read_and_their_length_is_bounded() {
        assert_eq!(list("0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(list(""), [0; 0]);
        assert_eq!(list("0-18446744073709551615").len(), MOST_CPUS);
    }

    #[test]
    fn a_mask_has_the_shape_that_the_kernel_shows() {
        assert_eq!(mask_like("0\n", &[0, 1]).as_deref(), Some("3"));
        assert_eq!(mask_like("00,00000000", &[0, 33]).as_deref(), Some("02,00000001"));
        assert_eq!(mask_like("0", &[4]), None);
    }

    #[test]
    fn bytes_are_said_in_their_unit() {
        assert_eq!(bytes(8 << 20), "8 MiB");
        assert_eq!(bytes(1536 << 10), "1.5 MiB");
        assert_eq!(bytes(100), "100 bytes");
    }
}

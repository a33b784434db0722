//! Distributions as the Java HdrHistogram library wrote them: `tests/java/Distributions.java` made the files.

use kring_loadgen::hgrm::distribution;
use kring_loadgen::latencies::Latencies;

macro_rules! java {
    ($name:literal) => {
        (include_str!(concat!("java/", $name, ".b64")), include_str!(concat!("java/", $name, ".hgrm")))
    };
}

#[test]
fn a_distribution_is_printed_byte_for_byte_as_java_prints_it() {
    for (name, (histogram, expected)) in [
        ("empty", java!("empty")),
        ("one", java!("one")),
        ("hundred", java!("hundred")),
        ("million", java!("million")),
    ] {
        let latencies = Latencies::from_base64(histogram).unwrap();
        assert_eq!(distribution(&latencies), expected, "{name}");
    }
}

#[test]
fn javas_histograms_are_read_and_written_without_loss() {
    for (histogram, _) in [java!("one"), java!("hundred"), java!("million")] {
        let latencies = Latencies::from_base64(histogram).unwrap();
        assert_eq!(Latencies::from_base64(&latencies.to_base64()).unwrap(), latencies);
    }
}

#[test]
fn histograms_of_java_add_up_with_ours() {
    let mut sum = Latencies::from_base64(java!("hundred").0).unwrap();
    sum.merge(&Latencies::from_base64(java!("one").0).unwrap());
    let mut own = Latencies::default();
    (1..=100u64).for_each(|n| own.record(std::time::Duration::from_millis(n), 1));
    own.record(std::time::Duration::from_nanos(1_234_567), 1);
    assert_eq!(sum.summary(), own.summary());
    assert_eq!(distribution(&sum), distribution(&own));
}

//! Runs every point and says what the whole of it means. Reads only.

use crate::finding::{Finding, Remedy, Setting, Verdict, Who};
use crate::look::Look;
use crate::points::GROUPS;

/// Sysctls that a container has of its own, and that its runtime sets.
const OF_CONTAINERS: [&str; 2] = ["/proc/sys/net/core/somaxconn", "/proc/sys/net/ipv4/"];

/// What was found, in the order of the groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub summary: String,
    pub findings: Vec<Finding>,
}

impl Report {
    /// 0 when nothing is to be done, 1 when something could be better, 3 when the broker would not start or could lose
    /// what it acknowledged.
    pub fn exit_code(&self) -> u8 {
        match self.findings.iter().map(|finding| finding.verdict).min() {
            Some(Verdict::Stops | Verdict::Unsafe) => 3,
            Some(Verdict::Tune) => 1,
            _ => 0,
        }
    }

    pub fn count(&self, verdict: Verdict) -> usize {
        self.findings.iter().filter(|finding| finding.verdict == verdict).count()
    }
}

/// Checks every point.
pub fn check(look: &Look<'_>) -> Report {
    let in_container = look.is_container() == Some(true);
    let mut findings = Vec::new();
    for (group, points) in GROUPS {
        findings.extend(points(look).into_iter().map(|finding| Finding { group, ..finding }));
    }
    if in_container {
        findings.iter_mut().for_each(hand_over);
    }
    Report { summary: look.summary(), findings }
}

/// What a process in a container must leave to others.
fn hand_over(finding: &mut Finding) {
    let Remedy::Settings(settings) = &finding.remedy else { return };
    let is_own = |setting: &Setting| OF_CONTAINERS.iter().any(|own| setting.path.starts_with(own));
    finding.remedy = if settings.iter().all(is_own) {
        let flags: Vec<String> =
            settings.iter().map(|s| format!("--sysctl '{}={}'", sysctl(s), s.wanted)).collect();
        Remedy::By(Who::Service, format!("start the container with {}", flags.join(" ")))
    } else {
        Remedy::By(Who::Host, "this is a container: run kring tune apply on its host".to_string())
    };
}

/// The name of a file below `/proc/sys`, as `sysctl` has it.
pub(crate) fn sysctl(setting: &Setting) -> String {
    setting.path.trim_start_matches("/proc/sys/").replace('/', ".")
}

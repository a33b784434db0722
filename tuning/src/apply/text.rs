//! Plans and what became of them, as lines for a terminal. Pure.

use std::path::Path;

use super::{Applied, Change, Outcome, Plan};
use crate::check::sysctl;
use crate::finding::{Finding, Remedy};
use crate::render::wrapped;

impl Plan {
    /// What an apply would do.
    pub fn text(&self, undo: &Path) -> String {
        let mut out = match self.changes.len() {
            0 => "nothing to set\n".to_string(),
            _ => format!("would be set, until the next boot, after {} is written:\n", undo.display()),
        };
        self.changes.iter().for_each(|change| out.push_str(&wrapped(&format!("  {}", line(change)), "")));
        out + &self.left_text()
    }

    fn left_text(&self) -> String {
        if self.left.is_empty() {
            return String::new();
        }
        let lines: String = self.left.iter().map(left).collect();
        format!("\nnot for this command:\n{lines}")
    }
}

impl Applied {
    /// What was done, each file by its name.
    pub fn text(&self, plan: &Plan) -> String {
        let lines: String = self.outcomes.iter().map(|(change, outcome)| done(change, outcome)).collect();
        let end = match &self.undo {
            None => "nothing to set\n".to_string(),
            Some(undo) => format!(
                "\nback to what was found: sh {}\nto have sysctls after a boot, too: tuning/90-kring.conf in /etc/sysctl.d\n",
                undo.display()
            ),
        };
        lines + &end + &plan.left_text()
    }
}

fn name(change: &Change) -> String {
    let path = &change.setting.path;
    if path.starts_with("/proc/sys/") { sysctl(&change.setting) } else { path.clone() }
}

fn line(change: &Change) -> String {
    let found = Some(change.setting.found.as_str()).filter(|found| !found.is_empty()).unwrap_or("nothing");
    format!("{}: {found} -> {}", name(change), change.setting.wanted)
}

fn done(change: &Change, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Set => format!("  set     {}\n", line(change)),
        Outcome::Failed(why) => format!("  failed  {}: {why}\n", line(change)),
    }
}

fn left(finding: &Finding) -> String {
    let head = format!("  {:15}  ", finding.point);
    match &finding.remedy {
        Remedy::By(who, what) => wrapped(&head, &format!("{what} ({})", who.word())),
        _ => wrapped(&head, &format!("wanted: {}", finding.wanted)),
    }
}

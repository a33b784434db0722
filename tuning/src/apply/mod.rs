//! Sets what `check` proposed: first a script that puts everything back, then one file after the other, each read again
//! afterwards. Writes nothing that the plan does not name; what one file refuses keeps no other from being set.

mod text;
mod undo;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use kring_runtime::host as files;

use crate::check::Report;
use crate::finding::{Finding, Remedy, Setting};
use crate::host::Host;
use crate::text::normal;
use undo::{Entry, Undo};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// One file that is to be written, and the point that wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub point: &'static str,
    pub setting: Setting,
}

/// What is to be done, and what others must do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub changes: Vec<Change>,
    pub left: Vec<Finding>,
}

/// What became of one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Set,
    /// The kernel's reason, or the value that it kept.
    Failed(String),
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub outcomes: Vec<(Change, Outcome)>,
    /// The script that puts everything back; `None` when nothing was to be done.
    pub undo: Option<PathBuf>,
}

impl Applied {
    pub fn is_whole(&self) -> bool {
        self.outcomes.iter().all(|(_, outcome)| *outcome == Outcome::Set)
    }
}

/// Why nothing was done.
#[derive(Debug)]
pub enum ApplyError {
    UnknownPoint {
        name: String,
        known: Vec<&'static str>,
    },
    /// There is a file in the place of the script, and it is something else.
    ForeignUndo(PathBuf),
    UndoNotWritten {
        path: PathBuf,
        error: std::io::Error,
    },
    /// A path or value that must not stand in a script.
    OddName(String),
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPoint { name, known } => {
                write!(f, "there is no point {name:?}; there are: {}", known.join(", "))
            }
            Self::ForeignUndo(path) => write!(
                f,
                "{} is there and is no undo script of this command; nothing was changed: choose another with --undo FILE",
                path.display()
            ),
            Self::UndoNotWritten { path, error } => write!(
                f,
                "the undo script {} cannot be written ({error}), so nothing was changed: choose another with --undo FILE",
                path.display()
            ),
            Self::OddName(name) => write!(f, "{name:?} must not stand in a script, so nothing was changed"),
        }
    }
}

/// What the bad points of a report come to; of those named by `only`, if any are.
///
/// # Errors
/// When `only` names a point that does not exist.
pub fn plan(report: &Report, only: &[String]) -> Result<Plan, ApplyError> {
    let known: Vec<&'static str> = report.findings.iter().map(|finding| finding.point).collect();
    if let Some(name) = only.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(ApplyError::UnknownPoint { name: name.clone(), known });
    }
    let is_asked = |finding: &&Finding| only.is_empty() || only.iter().any(|name| name == finding.point);
    let mut plan = Plan::default();
    for finding in report.findings.iter().filter(|finding| finding.verdict.is_bad()).filter(is_asked) {
        match &finding.remedy {
            Remedy::Settings(settings) => plan.changes.extend(
                settings.iter().map(|setting| Change { point: finding.point, setting: setting.clone() }),
            ),
            Remedy::By(..) | Remedy::None => plan.left.push(finding.clone()),
        }
    }
    let mut seen = BTreeSet::new();
    plan.changes.retain(|change| seen.insert(change.setting.path.clone()));
    Ok(plan)
}

/// Carries a plan out. `undo` is a path of this process, whatever host is meant.
///
/// # Errors
/// When the script that puts everything back cannot be written. Then nothing was changed.
pub fn apply(host: &dyn Host, plan: &Plan, undo: &Path) -> Result<Applied, ApplyError> {
    if plan.changes.is_empty() {
        return Ok(Applied { outcomes: Vec::new(), undo: None });
    }
    write_undo(host, plan, undo)?;
    let outcomes = plan.changes.iter().map(|change| (change.clone(), set(host, &change.setting))).collect();
    Ok(Applied { outcomes, undo: Some(undo.to_path_buf()) })
}

/// What an earlier apply of the same boot found stays: it is what was there before any.
fn write_undo(host: &dyn Host, plan: &Plan, path: &Path) -> Result<(), ApplyError> {
    let boot = host.read(BOOT_ID).unwrap_or_default().trim().to_string();
    let before = match files::read_text(path) {
        Ok(text) => Some(Undo::parse(&text).ok_or_else(|| ApplyError::ForeignUndo(path.to_path_buf()))?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(ApplyError::UndoNotWritten { path: path.to_path_buf(), error }),
    };
    let mut undo = before.filter(|undo| undo.boot == boot).unwrap_or(Undo { boot, entries: Vec::new() });
    for change in &plan.changes {
        let place = host.place(&change.setting.path);
        undo.add(Entry {
            path: place,
            set: change.setting.wanted.clone(),
            found: change.setting.found.clone(),
        });
    }
    let script = undo.script().map_err(ApplyError::OddName)?;
    let written = files::write_script(path, &script);
    written.map_err(|error| ApplyError::UndoNotWritten { path: path.to_path_buf(), error })
}

fn set(host: &dyn Host, setting: &Setting) -> Outcome {
    if let Err(error) = host.write(&setting.path, &format!("{}\n", setting.wanted)) {
        return Outcome::Failed(error.to_string());
    }
    match host.read(&setting.path).as_deref().map(normal) {
        Some(now) if now == setting.wanted => Outcome::Set,
        Some(now) => Outcome::Failed(format!("the kernel keeps {now:?}")),
        None => Outcome::Failed("it cannot be read again".to_string()),
    }
}

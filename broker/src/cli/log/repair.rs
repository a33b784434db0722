//! `kring log repair`: what would mend the damage, and with `--yes` doing it and looking again.

use std::path::{Path, PathBuf};

use kring_storage::inspect::{Inspection, Plan};

use super::out::Out;
use super::{Result, State, failed};

pub(super) async fn run(dirs: &[PathBuf], is_meant: bool, out: &mut Out) -> Result<State> {
    let mut work = Work { is_meant, is_any: false, is_left: false };
    for dir in dirs {
        let mut inspection = Inspection::open(dir).await.map_err(failed)?;
        for finding in &inspection.findings {
            out.line(&format!("damaged: {finding}")).await?;
        }
        work.carry_out(&inspection.plan_for_checkpoints(), out).await?;
        for partition in inspection.partitions().to_vec() {
            work.partition(&mut inspection, &partition, out).await?;
        }
    }
    out.line(work.verdict()).await?;
    Ok(if work.is_left { State::Damaged } else { State::Sound })
}

struct Work {
    is_meant: bool,
    /// Something could be done.
    is_any: bool,
    /// Damage is left.
    is_left: bool,
}

impl Work {
    async fn partition(&mut self, inspection: &mut Inspection, path: &Path, out: &mut Out) -> Result<()> {
        let report = inspection.verify(path).await.map_err(failed)?;
        for finding in &report.findings {
            out.line(&format!("damaged: {finding}")).await?;
        }
        self.carry_out(&inspection.plan(&report), out).await?;
        if self.is_meant && !report.findings.is_empty() {
            self.look_again(inspection, path, out).await?;
        }
        Ok(())
    }

    async fn carry_out(&mut self, plan: &Plan, out: &mut Out) -> Result<()> {
        for line in plan.lines() {
            out.line(&format!("  {}{line}", if self.is_meant { "" } else { "would " })).await?;
        }
        for finding in &plan.unmended {
            self.is_left = true;
            out.line(&format!("  not mended: {finding}")).await?;
        }
        if plan.is_empty() {
            return Ok(());
        }
        self.is_any = true;
        if !self.is_meant {
            self.is_left = true;
            return Ok(());
        }
        // The operator reads what is being done before it is.
        out.flush().await?;
        plan.carry_out().await.map_err(failed)
    }

    async fn look_again(&mut self, inspection: &mut Inspection, path: &Path, out: &mut Out) -> Result<()> {
        inspection.read_checkpoints().await.map_err(failed)?;
        let report = inspection.verify(path).await.map_err(failed)?;
        for finding in &report.findings {
            self.is_left = true;
            out.line(&format!("still damaged: {finding}")).await?;
        }
        Ok(())
    }

    fn verdict(&self) -> &'static str {
        match (self.is_any, self.is_meant, self.is_left) {
            (false, _, false) => "nothing is damaged",
            (true, false, _) => "nothing is changed; with --yes this is done",
            (true, true, false) => "done",
            (_, _, true) => "damage is left",
        }
    }
}

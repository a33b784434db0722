//! Whatever the files of a host hold, a check ends with a report, and every text of it can be shown.

mod common;

use common::{FakeHost, bare_metal, container_v1};
use kring_tuning::{Attempt, plan, render};

/// The multiplicative generator of Knuth: a failing round is repeated by its number.
struct Noise(u64);

impl Noise {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }

    fn text(&mut self) -> String {
        const PIECES: [&str; 20] = [
            "0",
            "1",
            "-1",
            "18446744073709551615",
            "99999999999999999999",
            "max",
            " ",
            "\n",
            "\t",
            "[",
            "]",
            ",",
            "-",
            "/",
            "..",
            " - ",
            "\\040",
            "\\9",
            "é\u{0}",
            "unlimited",
        ];
        (0..self.next(12)).map(|_| PIECES[self.next(PIECES.len())]).collect()
    }
}

fn disturb(host: &FakeHost, noise: &mut Noise) {
    let paths: Vec<String> = host.files.borrow().keys().cloned().collect();
    for _ in 0..=noise.next(6) {
        let path = &paths[noise.next(paths.len())];
        let mut files = host.files.borrow_mut();
        let text = files[path].clone();
        let cut = (0..=noise.next(text.len() + 1)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let new = match noise.next(3) {
            0 => noise.text(),
            1 => text[..cut].to_string() + &noise.text(),
            _ => text[..cut].to_string() + &noise.text() + &text[cut..],
        };
        files.insert(path.clone(), new);
    }
}

#[test]
fn no_content_of_a_file_ends_a_check() {
    for round in 0..600 {
        let mut noise = Noise(round);
        let host = if round % 2 == 0 { bare_metal() } else { container_v1() }.ring(Attempt::Untried);
        disturb(&host, &mut noise);
        let report = host.report();
        assert!(render(&report).lines().count() > 20, "round {round}");
        let plan = plan(&report, &[]).expect("every point is known");
        for change in plan.changes {
            assert_ne!(change.setting.found, change.setting.wanted, "round {round}: {change:?}");
        }
    }
}

//! What banks accept, and what makes them accept it.

use super::*;

/// What one bank accepts of one credential: version, from, until.
#[derive(Debug, Default)]
pub(super) struct Accepts(pub(super) Vec<(u32, Timestamp, Option<Timestamp>)>);

impl Accepts {
    pub(super) fn takes(&self, version: u32, now: Timestamp) -> bool {
        let alive = |until: &Option<Timestamp>| until.is_none_or(|until| now < until);
        let mut rows = self.0.iter();
        rows.any(|(number, from, until)| *number == version && now >= *from && alive(until))
    }

    pub(super) fn adds(&mut self, version: u32, from: Timestamp) {
        if !self.0.iter().any(|(number, ..)| *number == version) {
            self.0.push((version, from, None));
        }
    }
}

pub(super) fn terms(n: usize) -> RotationTerms {
    let procedure = Procedure::ALL[n % Procedure::ALL.len()];
    let lead_time_days = match procedure {
        Procedure::None | Procedure::PublishUrl => 0,
        _ => 3 + u32::try_from(n).unwrap(),
    };
    RotationTerms {
        procedure,
        lead_time_days,
        contact: "psd2@bank.example".to_owned(),
        ..RotationTerms::default()
    }
}

impl Simulation {
    /// What the bank does with what it was told, and what its answer means.
    pub(super) fn bank_hears(
        &mut self,
        bank: &Name,
        credential: &'static str,
        to: u32,
        event: &Event,
        now: Timestamp,
    ) {
        let terms = self.terms[bank].clone();
        let accepts = self.accepts.get_mut(&(bank.clone(), credential)).unwrap();
        match event {
            // It accepts whatever is qualified.
            Event::Switch { .. } if terms.procedure == Procedure::None => {
                accepts.adds(to, Timestamp::MIN)
            }
            Event::Announce if !terms.procedure.answers() => {
                accepts.adds(to, now + days(terms.lead_time_days.into()));
            }
            Event::Fail { .. } => accepts.0.retain(|(number, ..)| *number != to),
            Event::Accept(yes) => {
                let from = yes.at.unwrap_or(now);
                if yes.old == OldVersion::Replaced {
                    accepts
                        .0
                        .iter_mut()
                        .for_each(|(.., until)| *until = Some(from));
                }
                accepts.adds(
                    to,
                    from + SignedDuration::from_mins(yes.window_minutes.into()),
                );
            }
            _ => {}
        }
    }
}

//! What the security team does: what the plan and the banks say, once a day.

use super::*;

impl Simulation {
    /// The security team's morning.
    pub(super) async fn officer_works(&mut self, credential: &'static str, purpose: Purpose) {
        let now = self.now();
        let registry = self.registry().clone();
        let plan = registry.plan_rotation(credential, QTSP_DAYS).unwrap();
        let open = registry.world.load().rotations.get(credential).cloned();
        let order_due = plan
            .iter()
            .any(|step| step.action == Action::Order && step.by <= now);
        match open.map(|rotation| (rotation.number, rotation.to)) {
            None if order_due => {
                registry
                    .start_rotation(&self.who, credential, "renewal")
                    .await
                    .unwrap();
                // The second order is late by eight days.
                let late = if self.completed == 1 { 8 } else { 0 };
                self.ordered
                    .insert(credential, now + days(i64::from(QTSP_DAYS) + late));
            }
            Some((_, None)) if self.ordered[credential] <= now => {
                let number = self.issue(credential, purpose).await;
                let id = VersionId {
                    credential: name(credential),
                    number,
                };
                registry
                    .attach_rotation(&self.who, &id.resource())
                    .await
                    .unwrap();
            }
            Some((number, Some(to))) => self.campaign(credential, purpose, number, to).await,
            _ => {}
        }
    }

    async fn campaign(
        &mut self,
        credential: &'static str,
        purpose: Purpose,
        rotation: u32,
        to: u32,
    ) {
        let registry = self.registry().clone();
        let (snapshot, now) = (registry.world.load(), self.now());
        let mut all_done = true;
        for (bank, destination) in &snapshot.banks {
            let moving = &destination.moves[credential];
            all_done &= matches!(moving.progress, Progress::Confirmed { .. });
            if let Some(event) =
                self.next_event(credential, purpose, rotation, bank, &moving.progress)
            {
                let banks = BTreeSet::from([bank.clone()]);
                registry
                    .step_rotation(&self.who, credential, &banks, &event)
                    .await
                    .unwrap();
                self.bank_hears(bank, credential, to, &event, now);
            }
        }
        if all_done {
            registry
                .complete_rotation(&self.who, credential)
                .await
                .unwrap();
            self.completed += 1;
            self.answers.retain(|(_, of), _| *of != credential);
        }
    }

    fn next_event(
        &mut self,
        credential: &'static str,
        purpose: Purpose,
        rotation: u32,
        bank: &Name,
        progress: &Progress,
    ) -> Option<Event> {
        let (now, terms) = (self.now(), self.terms[bank].clone());
        let key = (bank.clone(), credential);
        let mut first = |what| self.once.insert((what, bank.clone(), credential, rotation));
        match progress {
            Progress::Pending if terms.procedure.is_told() => Some(Event::Announce),
            Progress::Pending => Some(Event::Switch { at: None }),
            Progress::Failed { .. } => Some(Event::Announce),
            Progress::Announced { .. } if bank.as_str() == "bank-08" && first("refuses") => {
                Some(Event::Fail {
                    reason: "they want another form".to_owned(),
                })
            }
            Progress::Announced { .. } if terms.procedure.answers() => {
                let answer = self.answers.entry(key);
                let answer = *answer.or_insert(now + days(terms.lead_time_days.into()));
                let moment = now + days(2) + SignedDuration::from_hours(4);
                (answer <= now).then_some(Event::Accept(match terms.procedure.replaces() {
                    true => Acceptance {
                        old: OldVersion::Replaced,
                        at: Some(moment),
                        window_minutes: WINDOW_MINUTES,
                    },
                    false => Acceptance {
                        old: OldVersion::StaysValid,
                        at: None,
                        window_minutes: 0,
                    },
                }))
            }
            Progress::Announced { at } => (now >= *at + days(terms.lead_time_days.into()))
                .then_some(Event::Switch { at: None }),
            Progress::Accepted { .. } if purpose == Purpose::Seal && first("canary") => {
                Some(Event::Canary { percent: 10 })
            }
            Progress::Accepted { .. } if bank.as_str() == "bank-15" => Some(Event::Switch {
                at: Some(now + SignedDuration::from_mins(100)),
            }),
            Progress::Accepted { .. } | Progress::Canary { .. } => Some(Event::Switch { at: None }),
            Progress::Switched {
                old: OldVersion::StaysValid,
                ..
            } if bank.as_str() == "bank-01" && first("back") => Some(Event::Rollback),
            Progress::Switched { .. } => Some(Event::Confirm),
            Progress::Scheduled { .. } | Progress::Confirmed { .. } => None,
        }
    }
}

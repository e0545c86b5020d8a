//! What the tokens are and do: gauges of their state, counters of their faults and of every rung of recovery.
//!
//! In: the word of each token. Out: families labelled by token and set, and faults by function and return code. All labels
//! are configured names or names of PKCS#11.

use std::fmt::Error;

use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use super::state::{Labels, gauges};
use crate::backend::Protection;
use crate::backend::tokens::TokenStatus;

pub(super) fn encode(
    encoder: &mut DescriptorEncoder,
    statuses: &[TokenStatus],
) -> Result<(), Error> {
    states(encoder, statuses)?;
    let help = "Calls of the module that failed, by function and return code";
    let faults = statuses.iter().flat_map(|status| {
        let faults = status.tally.faults.iter();
        faults.map(move |(kind, count)| {
            let [token, set] = of(status);
            let labels = [
                token,
                set,
                ("function", kind.function.clone()),
                ("rv", kind.rv.clone()),
            ];
            (labels, *count)
        })
    });
    counters(encoder, "token_faults", help, faults)?;
    let help =
        "What was done about faults: retry, login, initialise, worker (a process was replaced)";
    counters(
        encoder,
        "token_recoveries",
        help,
        statuses.iter().flat_map(rungs),
    )?;
    let mut family = |name: &str, help: &str, count: fn(&TokenStatus) -> u64| {
        let samples = statuses.iter().map(|status| (of(status), count(status)));
        counters(encoder, name, help, samples)
    };
    let help = "Signatures that the token made";
    family("token_signatures", help, |it| it.tally.counts.signatures)?;
    let help = "Requests that went on to another token of the set";
    family("token_failovers", help, |it| it.failover_count)?;
    let help = "Attempts that did not get the token back";
    family("token_recoveries_failed", help, |it| {
        it.tally.counts.recoveries_failed
    })?;
    let help = "Worker processes that crashed, or were ended because they hung";
    family("token_worker_crashes", help, |it| {
        it.tally.counts.workers_crashed
    })?;
    let help = "Times the pool of sessions was halved: the token was out of memory or sessions";
    family("token_pool_halvings", help, |it| {
        it.tally.counts.pool_halvings
    })?;
    let help = "Searches for keys; in steady state there are none";
    family("token_key_searches", help, |it| {
        it.tally.counts.key_searches
    })
}

/// Every rung of the ladder, also those that were never climbed: a rate needs a beginning.
fn rungs(status: &TokenStatus) -> [(Labels<3>, u64); 4] {
    let counts = &status.tally.counts;
    [
        ("retry", counts.retries),
        ("login", counts.logins),
        ("initialise", counts.initialisations),
        ("worker", counts.workers_started.saturating_sub(1)),
    ]
    .map(|(rung, count)| {
        let [token, set] = of(status);
        ([token, set, ("rung", rung.to_owned())], count)
    })
}

fn of(status: &TokenStatus) -> Labels<2> {
    [
        ("token", status.info.name.clone()),
        ("set", status.set.clone()),
    ]
}

fn states(encoder: &mut DescriptorEncoder, statuses: &[TokenStatus]) -> Result<(), Error> {
    let mut family = |name: &str, help: &str, value: fn(&TokenStatus) -> i64| {
        let samples = statuses.iter().map(|status| (of(status), value(status)));
        gauges(encoder, name, help, None, samples)
    };
    let help = "Whether the token signs";
    family("token_up", help, |it| it.info.ready.into())?;
    let help = "Sessions that can sign now";
    family("token_sessions", help, |it| it.info.session_count.into())?;
    let help = "Keys that can sign now";
    family("token_keys", help, |it| it.info.key_count.into())?;
    let help = "Keys of its set that the token should have and has not";
    family("token_keys_missing", help, |it| it.missing_key_count.into())?;
    let help = "Keys that the token is not asked to use: its signatures by them did not verify";
    family("token_keys_suspect", help, |it| it.suspect_key_count.into())?;
    let help = "Whether the process that holds the token has given this up (1) or not (0)";
    let samples = statuses.iter().flat_map(protections);
    gauges(encoder, "token_protection", help, None, samples)
}

/// Every protection, also those that are not in force: an alert needs a zero.
fn protections(status: &TokenStatus) -> impl Iterator<Item = (Labels<3>, i64)> {
    Protection::ALL.into_iter().map(|protection| {
        let [token, set] = of(status);
        let labels = [token, set, ("protection", protection.name().to_owned())];
        let applied = status.info.protections.contains(&protection);
        (labels, applied.into())
    })
}

/// One family of counters.
fn counters<const N: usize, I>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    samples: I,
) -> Result<(), Error>
where
    I: IntoIterator<Item = (Labels<N>, u64)>,
    Labels<N>: EncodeLabelSet,
{
    let help = format!("{help}.");
    let mut family = encoder.encode_descriptor(name, &help, None, MetricType::Counter)?;
    for (labels, value) in samples {
        ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

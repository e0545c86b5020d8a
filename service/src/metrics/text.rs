//! From OpenMetrics to the text format 0.0.4 of Prometheus.
//!
//! In: what `prometheus-client` wrote. Out: the same samples. The formats differ in the lines above them: a counter is
//! named there with its `_total`, units and the end are not said.

/// Rewrites an exposition.
pub(super) fn from_open_metrics(open: &str) -> String {
    let mut text = String::with_capacity(open.len());
    let mut lines = open.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("# UNIT ") || line == "# EOF" {
            continue;
        }
        let Some(help) = line.strip_prefix("# HELP ") else {
            push(&mut text, line);
            continue;
        };
        // The type follows its help; it decides how both are named.
        let kind = lines.peek().and_then(|next| next.strip_prefix("# TYPE "));
        match (
            kind.and_then(|kind| kind.split_once(' ')),
            help.split_once(' '),
        ) {
            (Some((name, "counter")), Some((_, words))) => {
                push(&mut text, &format!("# HELP {name}_total {words}"));
                push(&mut text, &format!("# TYPE {name}_total counter"));
                lines.next();
            }
            _ => push(&mut text, line),
        }
    }
    text
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_named_with_their_suffix_and_nothing_else_changes() {
        let open = "# HELP a_b What a b is.\n# TYPE a_b counter\na_b_total{x=\"1\"} 3\n\
                    # HELP g_seconds A gauge.\n# TYPE g_seconds gauge\n# UNIT g_seconds seconds\ng_seconds 1.5\n\
                    # EOF\n";
        let wanted = "# HELP a_b_total What a b is.\n# TYPE a_b_total counter\na_b_total{x=\"1\"} 3\n\
                      # HELP g_seconds A gauge.\n# TYPE g_seconds gauge\ng_seconds 1.5\n";
        assert_eq!(from_open_metrics(open), wanted);
    }
}

#!/usr/bin/env bash
# Tests of what monitoring gets: the alert rules fire where they should and only there, and a running sealkeepd exposes
# every metric they need, in formats that others can read. Needs the binaries built and the test packages installed.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
HERE=$ROOT/deploy/prometheus
RULES=$HERE/rules.yml

promtool check rules --lint=all --lint-fatal "$RULES"
"$BIN/sealkeep" monitoring rules | cmp - "$RULES" || fail "sealkeep monitoring rules prints other rules"
promtool test rules "$HERE"/tests/*.yml

# Every alert is tested both ways and has a way out.
alerts=$(sed -n 's/^ *- alert: //p' "$RULES")
[ -n "$alerts" ] || fail "no alerts in $RULES"
for alert in $alerts; do
    for name in "$alert fires" "$alert stays silent"; do
        grep -qx "  - name: $name" "$HERE"/tests/*.yml || fail "no test: $name"
    done
    grep -qx "## $alert" "$HERE/RUNBOOK.md" || fail "no way out for $alert in RUNBOOK.md"
    grep -q "RUNBOOK.md#${alert,,}\$" "$RULES" || fail "$alert does not name its runbook"
done
# A test that passes without its alert tests nothing.
broken=$(mktemp -d)
trap 'rm -rf "$broken"' EXIT
cp -r "$HERE/tests" "$broken/"
for alert in $alerts; do
    sed "s/- alert: $alert\$/- alert: Another/" "$RULES" >"$broken/rules.yml"
    if promtool test rules "$(grep -lx "  - name: $alert fires" "$broken"/tests/*.yml)" >/dev/null 2>&1; then
        fail "the tests do not notice that $alert is gone"
    fi
done

# A running house, read by promtool and by Prometheus's own OpenMetrics parser.
READER=$TARGET/metrics-tools
"$READER/bin/python" -c 'import icalendar, prometheus_client' 2>/dev/null || {
    python3 -m venv "$READER"
    "$READER/bin/pip" install --quiet --disable-pip-version-check prometheus-client==0.23.1 icalendar==6.3.1
}
SEALKEEP_HOUSE=$(mktemp -d)
trap 'house_stop "$SEALKEEP_HOUSE"; rm -rf "$SEALKEEP_HOUSE" "$broken"' EXIT
house_token "$SEALKEEP_HOUSE"
house_pki "$SEALKEEP_HOUSE"
house_qtsp "$SEALKEEP_HOUSE"
house_config "$SEALKEEP_HOUSE"
printf '\n[metrics]\naddress = "127.0.0.1:0"\n' >>"$SEALKEEP_HOUSE/sealkeep.toml"
printf '\n[[enroller]]\nname = "by-hand"\nkind = "manual"\n' >>"$SEALKEEP_HOUSE/sealkeep.toml"
"$BIN/sealkeepd" init --config "$SEALKEEP_HOUSE/sealkeep.toml" --officer spiffe://demo.example/officer >/dev/null
house_start "$SEALKEEP_HOUSE"
house_credential "$SEALKEEP_HOUSE" demo-tpp-seal seal ec-p256 PSP_AI,PSP_PI
metrics=$(wait_for "$SEALKEEP_HOUSE/sealkeepd.log" 'metrics on ' "$(cat "$SEALKEEP_HOUSE/sealkeepd.pid")")

curl --silent --show-error --fail "$metrics" >"$SEALKEEP_HOUSE/metrics.txt"
promtool check metrics <"$SEALKEEP_HOUSE/metrics.txt"
curl --silent --show-error --fail -H 'Accept: application/openmetrics-text' "$metrics" >"$SEALKEEP_HOUSE/metrics.om"
"$READER/bin/python" - "$SEALKEEP_HOUSE/metrics.om" <<'PY'
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
families = list(text_string_to_metric_families(open(sys.argv[1]).read()))
assert len(families) > 20, len(families)
print(f"OpenMetrics: {len(families)} families, {sum(len(f.samples) for f in families)} samples")
PY
grep -o 'sealkeep_[a-z_]*' "$RULES" | sort -u >"$SEALKEEP_HOUSE/needed"
while read -r name; do
    grep -q "^# TYPE ${name%_bucket} " "$SEALKEEP_HOUSE/metrics.txt" || fail "no metric $name, which a rule needs"
done <"$SEALKEEP_HOUSE/needed"

# What other tools read, by tools of others.
sealkeep() { as officer "$BIN/sealkeep" "$@"; }
sealkeep check expiry --warning 60d --critical 14d || fail "a new house has nothing that ends soon"
code=0
sealkeep check expiry --warning 36500d --critical 1h >"$SEALKEEP_HOUSE/check" || code=$?
[ $code -eq 1 ] || fail "check expiry ends with $code, not 1 (WARNING)"
code=0
SEALKEEP_ADDR=https://127.0.0.1:1 sealkeep check expiry >"$SEALKEEP_HOUSE/check" || code=$?
[ $code -eq 3 ] || fail "check expiry ends with $code, not 3 (UNKNOWN)"
grep -q '^EXPIRY UNKNOWN - ' "$SEALKEEP_HOUSE/check" || fail "$(cat "$SEALKEEP_HOUSE/check")"
sealkeep export ical --out "$SEALKEEP_HOUSE/calendar.ics" 2>/dev/null
sealkeep export register --out "$SEALKEEP_HOUSE/register.csv" 2>/dev/null
sealkeep export register --format json --out "$SEALKEEP_HOUSE/register.json" 2>/dev/null
"$READER/bin/python" - "$SEALKEEP_HOUSE" <<'PY'
import csv, json, sys
from icalendar import Calendar
house = sys.argv[1]
events = Calendar.from_ical(open(f"{house}/calendar.ics", "rb").read()).walk("VEVENT")
assert len({str(e["UID"]) for e in events}) == len(events) >= 8, len(events)
rows = list(csv.DictReader(open(f"{house}/register.csv", newline="")))
register = json.load(open(f"{house}/register.json"))
assert {r["kind"] for r in rows} == {"version", "chain", "caller_ca", "server_certificate"}, rows
version = next(r for r in rows if r["kind"] == "version")
assert version["name"] == "demo-tpp-seal@1" and version["key_leaves_device"] == "false", version
assert [c["sha256"] for c in register["certificates"]] == [r["sha256"] for r in rows]
assert any(str(e["DTSTART"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")) == version["end_time"] for e in events)
print(f"calendar: {len(events)} events; register: {len(rows)} certificates, {len(register['devices'])} device")
PY
say "monitoring: ok"

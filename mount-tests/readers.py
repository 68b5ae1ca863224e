"""What readers that others wrote make of a mount's `mirrors.json`, `info.json` and
`metrics`: the schema holds of the first two, the reference parser of OpenMetrics
takes the third, and the figures of all are the same.

usage: readers.py MOUNTPOINT SCHEMA
"""

import copy
import json
import re
import sys
from datetime import datetime
from pathlib import Path

from jsonschema import Draft202012Validator
from prometheus_client.openmetrics.parser import text_string_to_metric_families

MOUNT, SCHEMA = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())

# Name, type and unit of each metric, as the interface has them.
METRICS = [
    ("mirrorfs_regions", "gauge", ""),
    ("mirrorfs_regions_in_sync", "gauge", ""),
    ("mirrorfs_size_bytes", "gauge", "bytes"),
    ("mirrorfs_sync_bytes_per_second", "gauge", "bytes_per_second"),
    ("mirrorfs_sync_eta_seconds", "gauge", "seconds"),
    ("mirrorfs_state", "gauge", ""),
    ("mirrorfs_leg_healthy", "gauge", ""),
    ("mirrorfs_log_healthy", "gauge", ""),
    ("mirrorfs_bad_bytes", "gauge", "bytes"),
    ("mirrorfs_check_mismatch_bytes", "gauge", "bytes"),
    ("mirrorfs_check_timestamp_seconds", "gauge", "seconds"),
    ("mirrorfs_check_progress", "gauge", ""),
    ("mirrorfs_events", "counter", ""),
    ("mirrorfs_build_info", "gauge", ""),
]
STATES = ["ok", "finished", "empty", "syncing", "suspended", "degraded", "failed"]


def read(path):
    return json.loads((MOUNT / path).read_text())


def figures():
    families = list(text_string_to_metric_families((MOUNT / "metrics").read_text()))
    found = [(family.name, family.type, family.unit) for family in families]
    assert found == METRICS, found
    for family in families:
        assert family.documentation, family.name
    samples = [sample for family in families for sample in family.samples]
    figures = {(s.name, tuple(sorted(s.labels.items()))): s.value for s in samples}
    assert len(figures) == len(samples), "a figure is there twice"
    return figures


def of_mirror(mirror):
    """The figures that belong to what `mirrors.json` says of a mirror."""
    sync, name = mirror["sync"], mirror["name"]
    there = not any(text.startswith("not started") for text in mirror["warnings"])
    yield "mirrorfs_regions", {}, sync["regions_total"]
    yield "mirrorfs_regions_in_sync", {}, sync["regions_done"]
    yield "mirrorfs_size_bytes", {}, mirror["size"]
    yield "mirrorfs_sync_bytes_per_second", {}, sync["rate"]
    yield "mirrorfs_sync_eta_seconds", {}, sync["eta"]
    for state in STATES:
        yield "mirrorfs_state", {"state": state}, int(state == mirror["health"])
    for number, leg in enumerate(mirror["legs"]):
        labels = {"leg": str(number), "device": leg["path"]}
        yield "mirrorfs_leg_healthy", labels, int(leg["health"] == "A") if there else None
    letter = mirror["log"]["health"] if there else None
    yield "mirrorfs_log_healthy", {}, None if letter is None else int(letter == "A")
    yield "mirrorfs_bad_bytes", {}, sync["bad_bytes"]
    yield from of_check(mirror["check"][0])


def of_check(line):
    """The figures of the first line of a mirror's `check`."""
    differs = re.search(r"(\d+) bytes differ", line)
    yield "mirrorfs_check_mismatch_bytes", {}, int(differs[1]) if differs else None
    done = re.match(r"done (\S+Z),", line)
    time = datetime.fromisoformat(done[1]).timestamp() if done else None
    yield "mirrorfs_check_timestamp_seconds", {}, time
    runs = re.match(r"running (\d+)\.\d\d%", line)
    yield "mirrorfs_check_progress", {}, int(runs[1]) if runs else None


def expected(mirrors):
    figures = {}
    for mirror in mirrors:
        for metric, labels, value in of_mirror(mirror):
            if value is not None:
                labels = {**labels, "mirror": mirror["name"]}
                figures[metric, tuple(sorted(labels.items()))] = value
    return figures


def spoiled(mirror):
    """What the schema has to refuse: a key less, a key more, a number as text."""
    for key in mirror:
        yield {other: mirror[other] for other in mirror if other != key}
    yield {**mirror, "more": 1}
    for folder, words in (("sync", ["state"]), ("log", list(mirror["log"]))):
        for key in mirror[folder]:
            wrong = copy.deepcopy(mirror)
            wrong[folder][key] = 7 if key in words else "7"
            yield wrong
    yield {**mirror, "size": str(mirror["size"])}
    yield {**mirror, "size": 0.5}
    yield {**mirror, "health": "well"}


def steady():
    """Figures and JSON of one moment, though something may be copying."""
    for _ in range(100):
        before, found, after = read("mirrors.json"), figures(), read("mirrors.json")
        if before == after:
            return before, found
    raise SystemExit("mirrors.json is another at each read")


Draft202012Validator.check_schema(SCHEMA)
every = Draft202012Validator(SCHEMA)
one = Draft202012Validator({"$defs": SCHEMA["$defs"], "$ref": "#/$defs/mirror"})

mirrors, found = steady()
every.validate(mirrors)
for mirror in mirrors:
    one.validate(read(mirror["name"] + "/info.json"))
    for wrong in spoiled(mirror):
        assert not one.is_valid(wrong), wrong
apart = ("mirrorfs_events_total", "mirrorfs_build_info")
have = {key: value for key, value in found.items() if key[0] not in apart}
want = expected(mirrors)
assert have == want, sorted(set(have.items()) ^ set(want.items()))
assert any(key[0] == "mirrorfs_build_info" for key in found)
print(len(mirrors), "mirrors,", len(found), "figures")

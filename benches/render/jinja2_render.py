"""Renders prepared values with Jinja2: prints the median of five rounds in seconds."""

import json
import sys
import time

import jinja2

with open(sys.argv[1], encoding="utf-8") as file:
    work = json.load(file)
environment = jinja2.Environment(
    trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False
)
host = environment.from_string(work["host"])
upstream = environment.from_string(work["upstream"])


def write():
    return [(host.render(one), upstream.render(two)) for one, two in work["values"]]


taken = []
for _ in range(5):
    start = time.perf_counter()
    texts = write()
    taken.append(time.perf_counter() - start)
with open(sys.argv[2], "w", encoding="utf-8", newline="") as file:
    for pair in texts:
        file.writelines(pair)
print(sorted(taken)[2])

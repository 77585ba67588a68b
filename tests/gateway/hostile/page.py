"""`docs/hostile-inputs.md`, made of the table by `make docs`."""

from __future__ import annotations

from gateway.hostile.case import Case
from gateway.hostile.grpc_rows import GRPC
from gateway.hostile.table import TABLE

HEAD = """# Hostile inputs

What the gateway answers to {count} inputs that were made to hurt it. `tests/gateway/hostile` sends each of them to a gateway
over a socket, and after each one looks that

- the answer is the one of this table, which is never a 5xx, and comes within {seconds:g} seconds;
- there are no more jobs, files and artifacts than before, unless the table says 202: then there is one job;
- nothing is left in the folder for temporary files, and no decoder is still running;
- nobody has called a server on this machine that counts who calls: CANARY is its port.

"closed" means that the server hangs up without an answer. A status without a code is answered by the protocol below the
routes. The page is made of the tests' table, and a test compares the two.

| # | Input | How it is made | Answer |
|---|---|---|---|
"""

SECONDS = 15.0


def page() -> str:
    rows = [*map(_row, TABLE), *((name, how, result) for name, how, result, _ in GRPC)]
    lines = [f"| {number} | {' | '.join(map(_cell, row))} |" for number, row in enumerate(rows, start=1)]
    return HEAD.format(count=len(rows), seconds=SECONDS) + "\n".join(lines) + "\n"


def _row(case: Case) -> tuple[str, str, str]:
    return case.name, case.how, case.result


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\r", "\\r").replace("\n", "\\n").replace("\t", "\\t")


if __name__ == "__main__":
    print(page(), end="")

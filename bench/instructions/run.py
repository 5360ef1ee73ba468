"""How many instructions a step, a sequence and a training step of each cell and weight type take, and took.

    python bench/instructions/run.py               a minute; 1 where a count is over 3 % from the recorded one
    python bench/instructions/run.py --record      keeps the counts

README.md beside this file says what is counted.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # the clone, behind what is installed: cgru is found there

TOLERANCE = 0.03
RECORD = Path(__file__).resolve().parent / "results" / "x86-64-v3" / "results.json"


def compared(found, recorded):
    """(lines of a table, cases that are further off than the tolerance, or on one side only)."""
    lines, off = [], []
    for name in found | recorded:
        now, then = found.get(name), recorded.get(name)
        if now is None or then is None:
            lines.append(f"{name:<28}{now or 'not counted':>12}{then or 'not recorded':>14}")
            off.append(name)
            continue
        change = now / then - 1
        far = abs(change) > TOLERANCE
        lines.append(f"{name:<28}{now:>12}{then:>14}{change:>+9.2%}{'   too far' if far else ''}")
        off += [name] if far else []
    return lines, off


def verdict(found, maker, record):
    """What is printed, and the exit status."""
    if record is None:
        return [f"{name:<28}{number:>12}" for name, number in found.items()] + ["there is no record yet"], 0
    lines, off = compared(found, record["counts"])
    lines = [f"{'instructions':<28}{'now':>12}{'recorded':>14}", *lines]
    if maker != record["made_by"]:
        return [*lines, f"SKIPPED: counts are not judged: made by {maker}, the record by {record['made_by']}"], 0
    if off:
        how = f"over {TOLERANCE:.0%} from the record, or without one: {', '.join(off)}"
        return [*lines, f"{how}. What is meant is recorded anew, with --record, and CHANGELOG.md says why"], 1
    return [*lines, f"all {len(found)} within {TOLERANCE:.0%} of the record"], 0


def main(argv=None):
    """Count, compare or keep."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--record", action="store_true", help="write the counts to results/x86-64-v3/results.json")
    options = parser.parse_args(argv)
    from bench.instructions import counting

    try:
        found = counting.count()
    except counting.CannotCount as error:
        print(f"cannot count: {error}", file=sys.stderr)
        return 2
    maker = counting.made_by()
    if options.record:
        RECORD.parent.mkdir(parents=True, exist_ok=True)
        RECORD.write_text(json.dumps({"isa": counting.ISA, "made_by": maker, "counts": found}, indent=1) + "\n")
        print(f"wrote {RECORD}")
        return 0
    record = json.loads(RECORD.read_text()) if RECORD.exists() else None
    lines, status = verdict(found, maker, record)
    print("\n".join(lines))
    return status


if __name__ == "__main__":
    sys.exit(main())

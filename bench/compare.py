"""What became slower from one run to another, by more than their noise: point by point, the worst first.

    python bench/compare.py 0.1.0 0.2.0             two releases, on every CPU model that both were measured on
    python bench/compare.py 0.2.0 now               a release, and the records in bench/*/results/
    python bench/compare.py OLD.json NEW.json       two records, or files of bench/releases/
    python bench/compare.py HEAD~9:bench/speed/results/CPU/results.json bench/speed/results/CPU/results.json

The exit status is 1 where something is slower, 2 where nothing can be compared. bench/README.md says what is judged.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # the clone, behind what is installed: cgru is found there

SHOWN = 12  # rows that are level


def runs_of(source):
    """The Runs that a word of the command line means; SystemExit where it means none."""
    from bench.common import kept, runs

    path, root = Path(source), kept.BENCH.parent
    if source == "now":
        return [run for _, run in kept.records()]
    if source in releases():
        files = sorted((kept.RELEASES / source).glob("*.json"))
        return [run for file in files for run in kept.of_text(file.read_text(encoding="utf-8"))[1]]
    if path.is_dir():
        path /= "results.json"
    if path.is_file():
        text = path.read_text(encoding="utf-8")
    else:
        text = recorded(source, root)
        if text is None:
            raise SystemExit(f"{source}: no file, no REVISION:path, and no release: {', '.join(releases()) or 'none'}")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise SystemExit(f"{source} is not JSON: {error}") from error
    if "experiments" in found:
        return kept.of_text(text)[1]
    run = runs.read(found)
    if run is None:
        raise SystemExit(f"{source} has no times of points that could be compared")
    return [run]


def recorded(source, root):
    """What git has of REVISION:path; None where it has nothing, or is not there."""
    if ":" not in source:
        return None
    try:
        done = subprocess.run(["git", "show", source], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return None if done.returncode else done.stdout


def releases():
    """Versions that are kept."""
    from bench.common import kept

    return sorted(path.name for path in kept.RELEASES.glob("*") if path.is_dir())


def paired(before, now, anyway):
    """Pairs of the same experiment, on the same CPU model unless `anyway`."""
    return [
        (one, other) for one in before for other in now
        if one.experiment == other.experiment and (anyway or one.cpu == other.cpu)
    ]  # fmt: skip


def head(before, now):
    """Which two runs."""
    cpu = before.cpu if before.cpu == now.cpu else f"{before.cpu}, THEN {now.cpu}"
    made = ", then ".join(f"cgru {run.cgru} of {run.date[:10] or 'no date'} ({run.commit})" for run in (before, now))
    return f"{before.experiment}, {cpu}: {made}"


def table(rows, everything):
    """Lines of rows: all that are beyond noise, and the worst of the others."""
    shown, level = [], 0
    for row in rows:
        level += not row.verdict
        if everything or row.verdict or level <= SHOWN:
            shown.append(row)
    if not shown:
        return ["  nothing in both"]
    width = max(len(f"{row.point}, {row.who}") for row in shown)
    names = f"{'then, us':>10} {'now, us':>10} {'change':>8} {'others':>8} {'over them':>9} {'noise':>7}"
    lines = [f"  {'':{width}}  {names}"]
    for row in shown:
        others = "" if row.machine is None else f"{row.machine - 1:+.1%}"
        lines.append(
            f"  {f'{row.point}, {row.who}':{width}}  {row.before / 1000:>10.4g} {row.now / 1000:>10.4g} "
            f"{row.change - 1:>+8.1%} {others:>8} {row.relative - 1:>+9.1%} {row.noise:>7.1%}  {row.verdict}".rstrip()
        )
    if len(rows) > len(shown):
        lines.append(f"  and {len(rows) - len(shown)} more within noise (--all)")
    return lines


def report(before, now, everything=False, anyway=False):
    """(lines, rows, whether they could be compared) of two runs."""
    from bench.common import verdicts

    forbidden, known = verdicts.differences(before, now)
    lines = [head(before, now)]
    if forbidden and not anyway:
        return [*lines, f"  not compared, since the method differs: {'; '.join(forbidden)}"], [], False
    if forbidden or known:
        lines.append(f"  the method differs: {'; '.join(forbidden + known)}")
    rows = verdicts.compare(before, now)
    if not any(row.machine for row in rows):
        lines.append("  no yardstick is in both: the machine is in these times, and nothing is judged")
    if anyway:
        rows = [row._replace(verdict="") for row in rows]
    lines += table(rows, everything)
    for when, names in zip(("then", "now"), verdicts.missing(before, now), strict=True):
        if names:
            lines.append(f"  only {when}: {len(names)}, such as {'; '.join(names[:3])}")
    if not anyway:
        counts = Counter(row.verdict or "within noise" for row in rows)
        lines.append(f"  {', '.join(f'{counts[word]} {word}' for word in ('slower', 'faster', 'within noise'))}")
        doubtful = counts["slower?"] + counts["faster?"]
        lines += [f"  {doubtful} not judged, without a yardstick"] * bool(doubtful)
    return lines, rows, bool(rows)


def draw(path, compared):
    """A dot for each point, times the time over the yardsticks, with its noise; an axes for each experiment."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    colours = {"slower": "C3", "faster": "C2"}
    size = (8, 3 * len(compared))
    figure, axes = pyplot.subplots(len(compared), 1, figsize=size, squeeze=False, layout="constrained")
    for (title, rows), ax in zip(compared, axes[:, 0], strict=True):
        for place, row in enumerate(rows):
            colour = colours.get(row.verdict, "0.5")
            ax.errorbar(place, row.relative, yerr=row.noise, fmt="o", ms=3, lw=0.6, color=colour)
        ax.axhline(1, color="k", lw=0.8)
        ax.set(title=title, ylabel="now / then, over the others", xticks=[])
    figure.suptitle("above 1 is slower; red and green: by more than the noise", fontsize="small")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main(argv=None):
    """Compare; 1 where something is slower, 2 where nothing could be compared."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("before", help="a version, 'now', a file or folder, or REVISION:path")
    parser.add_argument("now", help="the same")
    parser.add_argument("--all", action="store_true", help="every point, also those within noise")
    parser.add_argument("--anyway", action="store_true", help="also other CPU models and methods; judges nothing")
    parser.add_argument("--plot", metavar="FILE", help="draw the points, too")
    options = parser.parse_args(argv)
    before, now = runs_of(options.before), runs_of(options.now)
    pairs = paired(before, now, options.anyway)
    if not pairs:
        cpus = (", ".join(sorted({f"{run.experiment} on {run.cpu}" for run in runs})) for runs in (before, now))
        print(f"nothing to compare, since no experiment was run on the same CPU model: {', then '.join(cpus)}")
        return 2
    compared = []
    for one, other in pairs:
        lines, rows, able = report(one, other, options.all, options.anyway)
        print("\n".join(lines))
        compared += [(head(one, other).partition(": ")[0], rows)] if able else []
    if options.plot and compared:
        draw(options.plot, compared)
        print(f"wrote {options.plot}")
    if options.anyway:
        print("nothing is judged: --anyway")
        return 0
    slower = any(row.verdict == "slower" for _, rows in compared for row in rows)
    return 1 if slower else 0 if compared else 2


if __name__ == "__main__":
    sys.exit(main())

"""What was measured, as a table, as JSON and as a chart."""

import html
import json
import os
import statistics

COLORS = {"pillion": "#1f6f8b", "nginx": "#5d8a3a", "haproxy": "#b5651d", "envoy": "#8a6fb0", "nghttpx": "#b0506f"}

# Key of a result, its heading, decimals; lower is better unless the heading says "per second".
COLUMNS = [("cpu_us", "CPU us/request", 1), ("added_us", "of it the filter", 1), ("requests_per_second", "requests/s", 0),
           ("p50_us", "p50 us", 0), ("p99_us", "p99 us", 0), ("large_per_second", "10 MB responses/s", 1), ("gbit_per_cpu_second", "Gbit/CPU s", 1),
           ("h2load_requests_per_second", "h2load requests/s", 0), ("failed", "failed", 0)]


def add_differences(rounds, bases):
    """Adds what a workload costs over its base, in the same round and by the same proxy.  bases: {workload: base}"""
    for one in rounds:
        for workload, base in bases.items():
            for proxy, result in one.get(workload, {}).items():
                if without := one.get(base, {}).get(proxy):
                    result["added_us"] = result["cpu_us"] - without["cpu_us"]


def medians(rounds):
    """[{workload: {proxy: result}}] -> {workload: {proxy: {key: median}}}"""
    out = {}
    for workload in dict.fromkeys(name for one in rounds for name in one):
        measured = [one.get(workload, {}) for one in rounds]
        for proxy in {name for one in measured for name in one}:
            results = [one[proxy] for one in measured if proxy in one]
            keys = [key for key in results[0] if all(key in one for one in results)]
            out.setdefault(workload, {})[proxy] = {key: statistics.median(one[key] for one in results) for key in keys}
    return out


def tables(figures, order):
    text = ""
    for workload, by_proxy in figures.items():
        columns = [c for c in COLUMNS if any(c[0] in result for result in by_proxy.values())]
        text += f"\n## {workload}\n\n| proxy | " + " | ".join(heading for _, heading, _ in columns) + " |\n"
        text += "| --- |" + " ---: |" * len(columns) + "\n"
        for proxy in (name for name in order if name in by_proxy):
            cells = (f"{by_proxy[proxy][key]:.{digits}f}" if key in by_proxy[proxy] else "-" for key, _, digits in columns)
            text += f"| {proxy} | " + " | ".join(cells) + " |\n"
    return text


def bars_of(figures):
    """(title, unit, {proxy: value}): what the chart shows of each workload."""
    for workload, by_proxy in figures.items():
        for key, unit in (("cpu_us", "CPU us per request"), ("gbit_per_cpu_second", "Gbit per CPU second (more is better)"),
                          ("p99_us", "p99 us of the small ones")):
            values = {proxy: result[key] for proxy, result in by_proxy.items() if key in result}
            if values:
                yield workload, unit, values
                break


def chart(figures, order):
    """An SVG: a group of bars a workload, each group on a scale of its own."""
    left, width, bar, gap = 110, 420, 18, 34
    parts, y = [], 46
    for workload, unit, values in bars_of(figures):
        parts.append(f'<text x="10" y="{y}" class="h">{html.escape(workload)}</text>'
                     f'<text x="{left}" y="{y}" class="u">{html.escape(unit)}</text>')
        y += 8
        most = max(values.values()) or 1
        for proxy in (name for name in order if name in values):
            length = max(1.0, width * values[proxy] / most)
            parts.append(f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">{html.escape(proxy)}</text>'
                         f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 4}" fill="{COLORS.get(proxy, "#777")}"/>'
                         f'<text x="{left + length + 6:.1f}" y="{y + 12}">{values[proxy]:.1f}</text>')
            y += bar
        y += gap - 6
    style = "text{font:12px sans-serif;fill:#222}.t{font-size:15px;font-weight:bold}.h{font-weight:bold}.u{fill:#666}"
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 80}" height="{y}"><style>{style}</style>'
            f'<rect width="100%" height="100%" fill="#fff"/><text x="10" y="20" class="t">CPU per request, less is better</text>'
            + "".join(parts) + "</svg>\n")


def save(directory, figures, order, about):
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "bench.json"), "w") as file:
        json.dump({"about": about, "figures": figures}, file, indent=1, sort_keys=True)
        file.write("\n")
    lines = "".join(f"- {key}: {value}\n" for key, value in about.items())
    with open(os.path.join(directory, "bench.md"), "w") as file:
        file.write(f"# Side by side\n\nWritten by bench/run; see bench/README.md for what a figure means.\n\n{lines}{tables(figures, order)}")
    with open(os.path.join(directory, "bench.svg"), "w") as file:
        file.write(chart(figures, order))

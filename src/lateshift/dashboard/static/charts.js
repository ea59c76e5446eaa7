// Draws `ui.timeseries` with uPlot: stacked bars or lines, in the page's colours, with the values under the pointer, and
// marks of deploys and deaths.
(() => {
  "use strict";
  const plots = new Map();
  const colour = (name, scope) => {
    const probe = document.createElement("i");
    probe.className = `s-${name}`;
    probe.hidden = true;
    probe.style.color = "var(--c)";
    scope.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const variable = (name) => {
    const probe = document.createElement("i");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const brief = (number) => number >= 1e6 ? `${+(number / 1e6).toFixed(1)}M` : number >= 1e3 ? `${+(number / 1e3).toFixed(1)}k` : String(+number.toPrecision(3));
  const seconds = (number) => !number ? "0" : number >= 7200 ? `${+(number / 3600).toPrecision(3)} h` : number > 100 ? `${+(number / 60).toPrecision(number < 600 ? 3 : 2)} min` : number >= 1 ? `${+number.toPrecision(3)} s` : `${+(number * 1000).toPrecision(3)} ms`;
  const stacked = (columns) => { // each series on top of those before it
    const sums = columns[0].map(() => 0);
    return [columns[0], ...columns.slice(1).map((values) => values.map((value, at) => sums[at] += value || 0))];
  };
  const pile = (u, colours) => { // the bars, each part on whole pixels so that no colour shines through another
    const at = u.data[0], step = (u.valToPos(at[1], "x", true) - u.valToPos(at[0], "x", true)) || 10;
    const wide = Math.max(1, Math.round(step * 0.68)), context = u.ctx;
    context.save();
    context.globalAlpha = 0.85;
    at.forEach((second, number) => {
      const left = Math.round(u.valToPos(second, "x", true) - wide / 2);
      let low = Math.round(u.valToPos(0, "y", true));
      colours.forEach((fill, place) => {
        const high = Math.round(u.valToPos(u.data[place + 1][number], "y", true));
        context.fillStyle = fill;
        if (high < low) context.fillRect(left, high, wide, low - high);
        low = Math.min(low, high);
      });
    });
    context.restore();
  };
  const lengths = [.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400, 604800];
  const scale = (kind) => ({ // where the values begin and end; run times differ so much that only powers of ten show all
    bars: { range: (u, low, high) => [0, Math.max(high || 0, 4) * 1.08] },
    lines: { range: (u, low, high) => [0, Math.max(high || 0, 0.01) * 1.08] },
    log: { distr: 3, range: (u, low, high) => [10 ** Math.floor(Math.log10(low || 0.001)), 10 ** Math.ceil(Math.log10((high || 0.1) * 1.001))] },
  })[kind];
  const tens = (u, at) => at.map((each) => Math.abs(Math.log10(each) % 1) < 1e-6 ? each : null);
  const dashes = { p95: [6, 3], p99: [2, 3] };
  const pad = (number) => String(number).padStart(2, "0");
  const clock = (second, days) => { // when a step began, as short as the chart allows
    const at = new Date(second * 1000), time = `${pad(at.getHours())}:${pad(at.getMinutes())}`;
    return days ? `${at.toLocaleDateString("en", { weekday: "short" })} ${time}` : time;
  };
  const axisTime = (second, days) => {
    const at = new Date(second * 1000);
    return days && !at.getHours() ? `${at.toLocaleDateString("en", { weekday: "short" })} ${at.getDate()}` : clock(second, false);
  };
  const flag = (u, marks, colours, step) => { // a line for each mark, with its label above where there is room
    const { left, top, width, height } = u.bbox, ratio = devicePixelRatio, context = u.ctx;
    let free = left - 1;
    context.save();
    context.font = `${10 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
    context.textBaseline = "bottom";
    context.textAlign = "left";
    for (const [second, kind, label] of marks) {
      const x = Math.round(u.valToPos(second - step / 2, "x", true)), words = kind === "death" ? "death" : label;
      if (x < left || x > left + width) continue;
      context.strokeStyle = context.fillStyle = colours[kind];
      context.lineWidth = ratio;
      context.setLineDash(kind === "death" ? [2 * ratio, 2 * ratio] : []);
      context.beginPath();
      context.moveTo(x, top - 12 * ratio);
      context.lineTo(x, top + height);
      context.stroke();
      const wide = context.measureText(words).width + 8 * ratio;
      const right = x + wide < left + width, from = right ? x : x - wide;
      if (from > free) { context.fillText(words, from + 4 * ratio, top - 2 * ratio); free = from + wide; }
    }
    context.restore();
  };
  const alone = (u, place) => { // a value without neighbours, of which no line shows anything
    const values = u.data[place], empty = (at) => (values[at] ?? null) === null;
    return [...values.keys()].filter((at) => !empty(at) && empty(at - 1) && empty(at + 1));
  };
  const draw = (figure) => {
    const plot = figure.querySelector(".plot"), text = figure.querySelector(".numbers").getAttribute("value");
    const marks = JSON.parse(figure.querySelector(".flags").getAttribute("value")), when = figure.querySelector(".when");
    const kind = plot.dataset.kind, bars = kind === "bars", series = JSON.parse(plot.dataset.series), data = JSON.parse(text);
    const word = bars ? brief : seconds, keys = [...figure.querySelectorAll(".key")];
    const columns = bars ? stacked(data) : data;
    const known = plots.get(plot);
    if (known) { known.raw = data; known.marks = marks; known.setData(columns); known.tell(known.cursor.idx ?? null); return; }
    const muted = variable("--muted"), line = variable("--line-2");
    const step = data[0][1] - data[0][0] || 60, days = data[0].at(-1) - data[0][0] > 2 * 86400;
    const flags = { deploy: variable("--accent"), death: variable("--failed") };
    const axis = { stroke: muted, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: `11px ${getComputedStyle(document.body).fontFamily}`, size: 24, gap: 4 };
    const lines = series.map(([name, look]) => {
      const stroke = colour(look, figure);
      return { label: name, stroke, width: 1.5, dash: dashes[look], spanGaps: true, points: { show: false, size: 5, fill: stroke, ...(!bars && { filter: alone }) }, paths: bars ? () => null : uPlot.paths.linear() };
    });
    const made = new uPlot({
      width: plot.clientWidth, height: plot.clientHeight, legend: { show: false }, padding: [18, 16, 0, 0],
      cursor: { y: false, points: { show: !bars, size: 6 }, drag: { x: false, y: false } },
      scales: { x: { range: (u, low, high) => bars ? [low - step / 2, high + step / 2] : [low, high] }, y: scale(kind) },
      axes: [{ ...axis, grid: { show: false }, space: 64, values: (u, at) => at.map((each) => axisTime(each, days)) },
        { ...axis, size: 48, space: 30, ...(kind === "lines" && { incrs: lengths }), ...(kind === "log" && { grid: { ...axis.grid, filter: tens } }), values: (u, at) => at.map((each) => each === null || (bars && each % 1) ? "" : word(each)) }],
      series: [{}, ...lines],
      hooks: { draw: [...(bars ? [(u) => pile(u, lines.map((each) => each.stroke))] : []), (u) => flag(u, u.marks || marks, flags, step)], setCursor: [(u) => tell(u.cursor.idx ?? null)] },
    }, columns, plot);
    made.raw = data;
    made.marks = marks;
    plots.set(plot, made);
    plot.firstElementChild.setAttribute("role", "img");
    plot.firstElementChild.setAttribute("aria-label", `${figure.querySelector("figcaption").firstChild.textContent.trim()}, ${plot.dataset.unit}`);
    function tell(at) { // the caption tells the moment, its marks and the values under the pointer
      const raw = plots.get(plot)?.raw || data, start = at === null ? undefined : raw[0][at];
      const here = start === undefined ? [] : (plots.get(plot)?.marks || marks).filter(([second]) => second >= start && second < start + step);
      const told = here.map(([, kind, label]) => `${kind} of ${label}`);
      when.textContent = start === undefined ? when.dataset.unit : [clock(start, days) + (at === raw[0].length - 1 ? ", so far" : ""), ...told].join(" · ");
      keys.forEach((key, number) => {
        const value = at === null ? undefined : raw[number + 1]?.[at];
        const words = value === undefined || value === null ? "" : ` ${word(value)}`;
        key.textContent = series[number][0] + words;
      });
    }
    made.tell = tell;
  };
  const drawAll = () => {
    for (const [plot, made] of plots) if (!plot.isConnected) { made.destroy(); plots.delete(plot); }
    document.querySelectorAll("figure.chart").forEach(draw);
  };
  const anew = () => { for (const made of plots.values()) made.destroy(); plots.clear(); drawAll(); };
  document.addEventListener("lateshift:fresh", drawAll);
  document.addEventListener("lateshift:theme", anew);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", anew);
  addEventListener("resize", () => { for (const [plot, made] of plots) made.setSize({ width: plot.clientWidth, height: plot.clientHeight }); });
  drawAll();
})();

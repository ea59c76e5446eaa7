// Draws `ui.timeseries` with uPlot: stacked bars or lines, in the page's colours, with the values under the pointer.
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
  const seconds = (number) => !number ? "0" : number >= 60 ? `${+(number / 60).toPrecision(3)} min` : number >= 1 ? `${+number.toPrecision(3)} s` : `${+(number * 1000).toPrecision(3)} ms`;
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
  const draw = (figure) => {
    const plot = figure.querySelector(".plot"), text = figure.querySelector(".numbers").getAttribute("value");
    const bars = plot.dataset.kind === "bars", series = JSON.parse(plot.dataset.series), data = JSON.parse(text);
    const word = bars ? brief : seconds, keys = [...figure.querySelectorAll(".key")];
    const columns = bars ? stacked(data) : data;
    const known = plots.get(plot);
    if (known) { known.raw = data; known.setData(columns); known.tell(known.cursor.idx ?? null); return; }
    const muted = variable("--muted"), line = variable("--line-2");
    const axis = { stroke: muted, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: `11px ${getComputedStyle(document.body).fontFamily}`, size: 24, gap: 4 };
    const lines = series.map(([name, kind]) => {
      const stroke = colour(kind, figure);
      return { label: name, stroke, width: 1.5, spanGaps: true, points: { show: false }, paths: bars ? () => null : uPlot.paths.linear() };
    });
    const made = new uPlot({
      width: plot.clientWidth, height: plot.clientHeight, legend: { show: false }, padding: [8, 4, 0, 0],
      cursor: { y: false, points: { show: !bars, size: 6 }, drag: { x: false, y: false } },
      scales: { x: { range: (u, low, high) => bars ? [low - 30, high + 30] : [low, high] }, y: { range: (u, low, high) => [0, Math.max(high || 0, bars ? 4 : 0.01) * 1.08] } },
      axes: [{ ...axis, grid: { show: false }, space: 64, values: (u, at) => at.map((each) => new Date(each * 1000).toTimeString().slice(0, 5)) },
        { ...axis, size: 48, space: 30, values: (u, at) => at.map((each) => bars && each % 1 ? "" : word(each)) }],
      series: [{}, ...lines],
      hooks: { draw: bars ? [(u) => pile(u, lines.map((each) => each.stroke))] : [], setCursor: [(u) => tell(u.cursor.idx ?? null)] },
    }, columns, plot);
    made.raw = data;
    plots.set(plot, made);
    plot.firstElementChild.setAttribute("role", "img");
    plot.firstElementChild.setAttribute("aria-label", `${figure.querySelector("figcaption").firstChild.textContent.trim()}, ${plot.dataset.unit}`);
    function tell(at) { // the legend tells the values under the pointer
      const raw = plots.get(plot)?.raw || data;
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

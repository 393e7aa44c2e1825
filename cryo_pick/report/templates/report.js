"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const report = read("scores"), frame = read("frame");
  const square = report.beta * report.beta;

  // Scores stand in the page as the bytes of little-endian float64, highest first.
  const unpack = (text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return new Float64Array(bytes.buffer);
  };
  // How many of falling numbers are at least t.
  const atLeast = (falling, t) => {
    let low = 0, high = falling.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (falling[middle] >= t) low = middle + 1; else high = middle;
    }
    return low;
  };
  const clip = (v) => Math.min(Math.max(v, 0), 1);
  const placeX = (v) => frame.left + clip(v) * (frame.right - frame.left);
  const placeY = (v) => frame.bottom - clip(v) * (frame.bottom - frame.top);

  const controls = [];
  report.classes.forEach((particle, index) => {
    const card = document.querySelector(`[data-class="${index}"]`);
    for (const [stage, packed] of Object.entries(particle.stages)) {
      const start = packed.threshold === null ? Infinity : packed.threshold;
      controls.push({
        particle, stage, card, start, t: start,
        scores: unpack(packed.scores), best: unpack(packed.best),
        range: card.querySelector(`[data-range="${stage}"]`),
        number: card.querySelector(`[data-number="${stage}"]`),
      });
    }
  });

  const count = (c) => {
    const picks = atLeast(c.scores, c.t), tp = atLeast(c.best, c.t);
    const fp = picks - tp, fn = c.particle.truth - tp;
    const total = (1 + square) * tp + square * fn + fp;
    return {
      picks, tp, fp, fn,
      precision: picks > 0 ? tp / picks : 0,
      recall: c.particle.truth > 0 ? tp / c.particle.truth : 0,
      f: tp > 0 ? (1 + square) * tp / total : 0,
    };
  };
  const setAll = (element, values) => {
    if (element) for (const [key, value] of Object.entries(values)) element.setAttribute(key, value.toFixed(2));
  };
  const show = (c) => {
    const n = c.n = count(c);
    for (const [key, value] of Object.entries(n)) {
      const out = c.card.querySelector(`[data-out="${c.stage}-${key}"]`);
      if (out) out.value = Number.isInteger(value) && ["picks", "tp", "fp", "fn"].includes(key) ? String(value) : value.toFixed(3);
    }
    const x = placeX(Number.isFinite(c.t) ? c.t : 1);
    for (const kind of ["f", "histogram"]) {
      setAll(c.card.querySelector(`[data-kind="${kind}"] .cut.${c.stage}`), {x1: x, x2: x});
    }
    setAll(c.card.querySelector(`[data-kind="f"] .mark.${c.stage}`), {cx: x, cy: placeY(n.f)});
    setAll(c.card.querySelector(`[data-kind="pr"] .mark.${c.stage}`), {cx: placeX(n.recall), cy: placeY(n.precision)});
  };
  const sum = () => {
    const weights = report.classes.reduce((total, particle) => total + particle.weight, 0);
    for (const out of document.querySelectorAll("[data-score]")) {
      const mine = controls.filter((c) => c.stage === out.dataset.score);
      out.value = (mine.reduce((total, c) => total + c.particle.weight * c.n.f, 0) / weights).toFixed(3);
    }
    for (const out of document.querySelectorAll("[data-total]")) {
      out.value = controls.filter((c) => c.stage === out.dataset.total).reduce((total, c) => total + c.n.picks, 0);
    }
  };
  const set = (c, t, from) => {
    c.t = t;
    const finite = Number.isFinite(t);
    if (from !== c.range) c.range.value = finite ? t : 1;
    if (from !== c.number) c.number.value = finite ? +t.toFixed(4) : "";
    c.number.placeholder = finite ? "" : "∞";
    show(c);
  };

  // The address remembers sliders that were moved: #t=stage/class/threshold&t=...
  const remember = () => {
    const moved = controls.filter((c) => c.t !== c.start);
    const text = moved.map((c) => `t=${c.stage}/${encodeURIComponent(c.particle.name)}/${c.t}`).join("&");
    try { history.replaceState(null, "", text ? `#${text}` : location.pathname); } catch { /* a page in a frame may not */ }
  };
  const recall = () => {
    for (const part of location.hash.slice(1).split("&")) {
      if (!part.startsWith("t=")) continue;
      const [stage, name, value] = part.slice(2).split("/");
      let wanted;
      try { wanted = decodeURIComponent(name ?? ""); } catch { continue; }
      const c = controls.find((k) => k.stage === stage && k.particle.name === wanted);
      const t = Number(value);
      if (c && value && !Number.isNaN(t)) set(c, t);
    }
  };

  for (const c of controls) {
    set(c, c.start);
    c.range.addEventListener("input", () => { set(c, Number(c.range.value), c.range); sum(); });
    c.number.addEventListener("input", () => {
      if (c.number.value !== "") { set(c, Number(c.number.value), c.number); sum(); }
    });
    for (const input of [c.range, c.number]) input.addEventListener("change", remember);
  }
  recall();
  sum();
  window.addEventListener("hashchange", () => { recall(); sum(); });
  document.getElementById("reset").addEventListener("click", () => {
    for (const c of controls) set(c, c.start);
    sum();
    remember();
  });

  for (const box of document.querySelectorAll(".toggles input")) {
    box.addEventListener("change", () => {
      document.querySelector(".ortho").classList.toggle(`no-${box.dataset.kind}`, !box.checked);
    });
  }
})();

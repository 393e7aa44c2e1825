// One candidate at a time; a key is a verdict, which the server writes before the next one comes.
"use strict";
(async () => {
  const at = (id) => document.getElementById(id);
  const state = await (await fetch("state")).json();
  const { classes, items } = state;
  let now = 0;
  let busy = false;

  // A picture is 4.2 radii wide: see RADII_ACROSS in pictures.py.
  const ring = (x, color) => {
    const circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    for (const [k, v] of Object.entries({ cx: x, cy: 50, r: 100 / 4.2, stroke: color })) circle.setAttribute(k, v);
    return circle;
  };
  const cell = (text, kind = "td") => {
    const element = document.createElement(kind);
    element.textContent = text;
    return element;
  };
  const number = (v) => (v === null || v === undefined ? "–" : v.toFixed(3));

  const row = (item, k) => {
    const line = document.createElement("tr");
    line.className = k === item.proposed ? "row on" : "row";
    const name = cell(classes[k].name);
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = classes[k].color;
    name.prepend(swatch);
    line.append(
      cell(k < 9 ? String(k + 1) : ""), name, cell(number(item.stage1[k])),
      cell(item.stage2 ? number(item.stage2[k]) : "–"), cell(number(item.scores[k])), cell(number(item.thresholds[k])),
    );
    line.addEventListener("click", () => say({ index: k }));
    return line;
  };

  const show = () => {
    const c = state.counts;
    at("counts").textContent =
      `${c.accepted} accepted, ${c.relabelled} relabelled, ${c.rejected} rejected, ${c.left} left`;
    at("done").style.width = items.length ? `${(100 * (items.length - c.left)) / items.length}%` : "100%";
    if (!items.length) {
      at("where").textContent = "nothing is in doubt";
      return;
    }
    const item = items[now];
    const own = classes[item.proposed];
    at("where").textContent = `${now + 1} of ${items.length}, run ${item.run}, x y z ${item.xyz.join(" ")} Å`;
    at("picture").src = `picture/${now}`;
    at("rings").replaceChildren(...[50, 150, 250].map((x) => ring(x, own.color)));
    at("swatch").style.background = own.color;
    at("proposed").textContent = `${own.name}?`;
    at("reason").textContent = `${item.reason}: ${number(item.scores[item.proposed])}, threshold ${number(item.thresholds[item.proposed])}`;
    at("classes").replaceChildren(...classes.map((_, k) => row(item, k)));
    const verdict = state.verdicts[now];
    at("verdict").className = verdict === null ? "no" : "yes";
    at("verdict").textContent =
      verdict === undefined ? "" : verdict === null ? "rejected" : verdict === item.proposed ? "accepted" : `is ${classes[verdict].name}`;
    document.body.dataset.item = now;
    document.body.dataset.left = c.left;
  };

  const move = (to) => { now = Math.max(0, Math.min(items.length - 1, to)); show(); };
  const undecided = () => {
    for (let i = 1; i <= items.length; i += 1) {
      const k = (now + i) % items.length;
      if (state.verdicts[k] === undefined) return k;
    }
    return now;
  };

  const say = async (verdict) => {
    if (busy || !items.length) return;
    busy = true;
    try {
      const answer = await fetch("verdict", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ item: now, verdict }),
      });
      if (!answer.ok) throw new Error(await answer.text());
      Object.assign(state, await answer.json());
      at("problem").textContent = "";
      if (verdict !== null) now = undecided();
    } catch (error) {
      at("problem").textContent = `not saved: ${error.message}`;
    }
    busy = false;
    show();
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !items.length) return;
    const key = event.key.toLowerCase();
    const digit = Number(key) - 1;
    if (key === "a") say({ index: items[now].proposed });
    else if (key === "r") say({ index: null });
    else if (key === "u") say(null);
    else if (key === "n") move(undecided());
    else if (key === "arrowright") move(now + 1);
    else if (key === "arrowleft") move(now - 1);
    else if (/^[1-9]$/.test(key) && digit < classes.length) say({ index: digit });
    else return;
    event.preventDefault();
  });
  document.body.dataset.ready = "yes";
  show();
})();

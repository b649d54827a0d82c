"use strict";
// The icicle of the composition: three levels below the open category, one button per node. Cells that would be
// narrower than six thousandths of the row are one cell. Texts are set as text, never as markup.
(() => {
  const NAME = 0, PARENT = 1, SAMPLES = 2, BYTES = 3, SOURCE = 4, LEVELS = 3, LEAST = 0.006;
  const nodes = JSON.parse(document.getElementById("tree").textContent);
  const children = nodes.map(() => []);
  nodes.forEach((node, index) => { if (node[PARENT] >= 0) children[node[PARENT]].push(index); });
  const cells = document.getElementById("cells"), trail = document.getElementById("trail");
  const told = document.getElementById("told");
  let measure = SAMPLES, open = 0;

  const amount = (node) => measure === SAMPLES ? node[SAMPLES].toLocaleString("en") : size(node[BYTES]);
  const size = (bytes) => {
    for (const unit of ["B", "kB", "MB", "GB"]) {
      if (bytes < 1000) return `${bytes.toFixed(unit === "B" ? 0 : 1)} ${unit}`;
      bytes /= 1000;
    }
    return `${bytes.toFixed(1)} TB`;
  };
  const share = (part, whole) => whole ? `${(100 * part / whole).toFixed(1)} %` : "-";
  const path = (index) => {
    const names = [];
    for (let at = index; at >= 0; at = nodes[at][PARENT]) names.unshift(at);
    return names;
  };
  const hue = (index) => {
    const steps = path(index);
    const place = (level) => steps[level] === undefined ? 0 : children[steps[level - 1]].indexOf(steps[level]) + 1;
    return Math.round(170 + place(1) * 137.5 + place(2) * 31) % 360;
  };

  function cell(left, width, level, name, detail, kind) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = kind;
    button.style.cssText = `left:${left * 100}%;width:${width * 100}%;top:${level * 6.6}rem`;
    const title = document.createElement("b"), value = document.createElement("span");
    title.textContent = name;
    value.textContent = detail;
    button.append(title, value);
    button.title = `${name}: ${detail}`;
    button.setAttribute("aria-label", button.title);
    cells.append(button);
    return button;
  }

  function row(parent, left, width, level) {
    const whole = nodes[parent][measure];
    if (level >= LEVELS || !whole) return;
    let at = left, rest = 0, held = 0;
    const order = [...children[parent]].sort((a, b) => nodes[b][measure] - nodes[a][measure]);
    for (const index of order) {
      const node = nodes[index], wide = width * node[measure] / whole;
      if (wide < LEAST) { rest += node[measure]; held += 1; continue; }
      const leaf = !children[index].length;
      const detail = `${amount(node)} (${share(node[measure], nodes[open][measure])})`;
      const button = cell(at, wide, level, node[SOURCE] ? `[${node[NAME]}]` : node[NAME], detail, leaf ? "leaf" : "");
      button.style.setProperty("--hue", hue(index));
      button.dataset.index = index;
      if (!leaf) row(index, at, wide, level + 1);
      at += wide;
    }
    if (held && width * rest / whole > 0.002) {
      cell(at, width * rest / whole, level, `${held} more`, share(rest, nodes[open][measure]), "rest").disabled = true;
    }
  }

  function show(focus) {
    cells.replaceChildren();
    trail.replaceChildren();
    const steps = path(open);
    steps.forEach((index, place) => {
      if (place) trail.append("/");
      if (index === open) {
        const name = document.createElement("strong");
        name.textContent = nodes[index][NAME];
        trail.append(name);
      } else {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = nodes[index][NAME];
        button.addEventListener("click", () => enter(index));
        trail.append(button);
      }
    });
    row(open, 0, 1, 0);
    const node = nodes[open];
    told.textContent = `${node[NAME]}: ${node[SAMPLES].toLocaleString("en")} samples, ${size(node[BYTES])}, `
      + `${share(node[measure], nodes[0][measure])} of all, ${children[open].length} parts. `
      + (open ? "Escape goes up." : "A click or Enter opens a category.");
    if (focus) (cells.querySelector("button:not([disabled])") || trail.querySelector("button"))?.focus();
  }

  function enter(index) { open = index; show(true); }

  cells.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button && button.dataset.index && children[button.dataset.index].length) enter(Number(button.dataset.index));
  });
  document.getElementById("icicle").addEventListener("keydown", (event) => {
    if (event.key === "Escape" && open) enter(nodes[open][PARENT]);
  });
  document.querySelectorAll("input[name=measure]").forEach((input) => {
    input.addEventListener("change", () => { measure = Number(input.value); show(false); });
  });
  document.getElementById("icicle").hidden = false;
  show(false);
})();

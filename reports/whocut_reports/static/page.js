// The table of requests: sorted, filtered, and each one opened; all of its state is in the address, behind the #.
"use strict";
(() => {
  const PAGE = 100;
  const at = (id) => document.getElementById(id);
  const FILTERS = ["layer", "timer", "outcome", "mode", "grade"];
  const state = { request: "", sort: "", page: 1, q: "", layer: "", timer: "", outcome: "", mode: "", grade: "" };
  const blocks = new Map();
  let data, order = [], places;

  async function unpacked(node) {
    const text = node.textContent.trim();
    const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  }

  // --- what the address says -------------------------------------------------------------------------

  function readAddress() {
    const said = location.hash.slice(1);
    if (said && !said.includes("=")) return false; // a link to a heading
    const found = new URLSearchParams(said);
    for (const name of Object.keys(state)) state[name] = found.get(name) ?? "";
    state.page = Math.max(1, Number.parseInt(state.page, 10) || 1);
    return true;
  }

  function address(changes) {
    const next = new URLSearchParams();
    for (const [name, value] of Object.entries({ ...state, ...changes })) {
      if (value && !(name === "page" && value === 1)) next.set(name, value);
    }
    return "#" + (next.toString() || "requests=");
  }

  function go(changes) {
    history.pushState(null, "", address(changes));
    readAddress();
    show();
  }

  // --- the table ---------------------------------------------------------------------------------------

  const columns = () => data.columns;
  const first = (row) => data.verdicts[columns().verdicts[row][0]] ?? { layer: "", timer: "", grade: "", says: "" };
  const seconds = (value) => (value === null ? "–" : value >= 10 ? `${Math.round(value)} s` : `${+value.toPrecision(2)} s`);
  const dollars = (value) => (value ? `$${value.toFixed(value < 0.1 ? 4 : 2)}` : "–");
  const COLUMNS = [
    { name: "request", says: "Request", value: (row) => columns().request[row] },
    { name: "mode", says: "Mode", value: (row) => data.modes[columns().mode[row]] },
    { name: "outcome", says: "Outcome", value: (row) => data.outcomes[columns().outcome[row]] },
    { name: "layer", says: "Cut by", value: (row) => first(row).layer },
    { name: "timer", says: "Timer", value: (row) => first(row).timer },
    { name: "grade", says: "Grade", value: (row) => first(row).grade },
    { name: "attempts", says: "Attempts", number: true, value: (row) => columns().attempts[row], written: String },
    { name: "took", says: "Took", number: true, value: (row) => columns().took[row], written: seconds },
    { name: "first", says: "First byte", number: true, value: (row) => columns().first[row], written: seconds },
    { name: "generations", says: "Generations", number: true, value: (row) => columns().generations[row], written: String },
    { name: "orphaned", says: "Ran on", number: true, value: (row) => columns().orphaned[row], written: (value) => (value ? seconds(value) : "–") },
    { name: "usd", says: "Billed", number: true, value: (row) => columns().usd[row], written: dollars },
  ];

  function fits(row) {
    const all = columns();
    if (state.mode && data.modes[all.mode[row]] !== state.mode) return false;
    if (state.outcome && data.outcomes[all.outcome[row]] !== state.outcome) return false;
    if (state.q && !all.request[row].toLowerCase().includes(state.q.toLowerCase())) return false;
    if (!state.layer && !state.timer && !state.grade) return true;
    return all.verdicts[row].some((number) => {
      const verdict = data.verdicts[number];
      return ["layer", "timer", "grade"].every((name) => !state[name] || verdict[name] === state[name]);
    });
  }

  function arrange() {
    const found = [];
    for (let row = 0; row < columns().request.length; row++) if (fits(row)) found.push(row);
    const column = COLUMNS.find((one) => one.name === state.sort.replace("-", ""));
    if (column) {
      const down = state.sort.startsWith("-") ? -1 : 1;
      const values = new Map(found.map((row) => [row, column.value(row)]));
      found.sort((one, other) => {
        const [a, b] = [values.get(one), values.get(other)];
        if (a === b) return one - other;
        if (a === null || a === "") return 1; // what is not known comes last, either way
        if (b === null || b === "") return -1;
        return (a < b ? -1 : 1) * down;
      });
    }
    order = found;
  }

  function cell(kind, text, name) {
    const made = document.createElement(kind);
    if (text !== undefined) made.textContent = text;
    if (name) made.className = name;
    return made;
  }

  function showTable() {
    arrange();
    const pages = Math.max(1, Math.ceil(order.length / PAGE));
    const page = Math.min(state.page, pages);
    const shown = order.slice((page - 1) * PAGE, page * PAGE);
    const body = at("rows");
    body.replaceChildren(...shown.map((row) => {
      const line = cell("tr");
      COLUMNS.forEach((column, number) => {
        const value = column.value(row);
        const made = cell(number ? "td" : "th", number ? (column.number ? column.written(value) : value || "–") : undefined, column.number ? "n" : "");
        if (!number) {
          made.scope = "row";
          const link = cell("a", value);
          link.href = address({ request: value });
          made.append(link);
        }
        if (column.name === "layer" && value) made.prepend(chip(value));
        line.append(made);
      });
      if (columns().request[row] === state.request) line.className = "open";
      return line;
    }));
    const all = columns().request.length;
    const from = order.length ? (page - 1) * PAGE + 1 : 0;
    at("count").textContent = `${order.length.toLocaleString("en")} of ${all.toLocaleString("en")} requests` +
      (order.length ? `, shown ${from.toLocaleString("en")} to ${(from + shown.length - 1).toLocaleString("en")}` : "");
    at("earlier").disabled = page <= 1;
    at("later").disabled = page >= pages;
    at("earlier").onclick = () => go({ page: page - 1 });
    at("later").onclick = () => go({ page: page + 1 });
    for (const head of document.querySelectorAll("#heads button")) {
      const sorted = state.sort.replace("-", "") === head.name;
      const way = state.sort.startsWith("-") ? "descending" : "ascending";
      head.parentElement.setAttribute("aria-sort", sorted ? way : "none");
    }
    for (const name of FILTERS) at(`f-${name}`).value = state[name];
    if (at("f-q") !== document.activeElement) at("f-q").value = state.q;
  }

  function chip(layer) {
    const made = cell("span", undefined, "chip");
    const colours = JSON.parse(at("colours").textContent);
    made.style.background = colours[layer] ?? "var(--quiet)";
    made.setAttribute("aria-hidden", "true");
    return made;
  }

  // --- one request ---------------------------------------------------------------------------------------

  async function block(number) {
    if (!blocks.has(number)) blocks.set(number, unpacked(at(`block-${number}`)));
    return blocks.get(number);
  }

  async function showRequest() {
    const place = at("one");
    const row = state.request ? places.get(state.request) : undefined;
    place.hidden = !state.request;
    if (!state.request) return;
    const heading = cell("h3", `Request ${state.request}`);
    heading.tabIndex = -1;
    if (row === undefined) {
      place.replaceChildren(heading, cell("p", "This run has no request of this name."));
      return;
    }
    const close = cell("a", "Close it");
    close.href = address({ request: "" });
    const links = cell("p");
    links.append("The address of this page leads here again. ", close);
    const parts = [heading, links];
    if (row >= data.drawn) {
      parts.push(cell("p", `The page holds the pictures of the first ${data.drawn.toLocaleString("en")} requests. In the terminal:`));
      parts.push(cell("pre", `whocut why ${place.dataset.run} ${state.request}`));
    } else {
      const told = (await block(Math.floor(row / data.block)))[row % data.block];
      if (columns().request[row] !== state.request) return; // another one was opened while it unpacked
      const wide = cell("div", undefined, "wide");
      wide.tabIndex = 0;
      wide.setAttribute("role", "group");
      wide.setAttribute("aria-label", "picture");
      wide.append(picture(told));
      parts.push(wide);
      const list = cell("ol", undefined, "tries");
      for (const one of told.tries) {
        const item = cell("li");
        item.append(cell("strong", one.phrase));
        const facts = cell("ul");
        facts.append(...one.evidence.map((fact) => cell("li", fact)));
        item.append(facts);
        list.append(item);
      }
      parts.push(list);
    }
    place.replaceChildren(...parts);
  }

  const SVG = "http://www.w3.org/2000/svg";
  function drawn(name, facts, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(facts)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function picture(told) {
    const LEFT = 250, RIGHT = 250, WIDE = 1180, ROW = 24;
    const tall = told.rows.length * ROW + 34;
    const x = (at_s) => LEFT + (WIDE - LEFT - RIGHT) * (told.end ? at_s / told.end : 0);
    const whole = drawn("svg", { viewBox: `0 0 ${WIDE} ${tall}`, class: "fall", role: "img", "aria-label":
      "Waterfall. " + told.rows.map((row) => `${row.label}: ${row.note || "no note"}`).join(". ") });
    const foot = told.rows.length * ROW + 8;
    const step = [1, 2, 3, 6].flatMap((base) => [...Array(16).keys()].map((power) => base * 10 ** (power - 4)))
      .sort((a, b) => a - b).find((one) => told.end / one < 7) ?? 1;
    for (let tick = 0; told.end && tick <= told.end + 1e-9; tick += step) {
      whole.append(drawn("line", { x1: x(tick), x2: x(tick), y1: 0, y2: foot, class: "tick" }));
      whole.append(drawn("text", { x: x(tick), y: foot + 16, "text-anchor": "middle", class: "tick" }, `${+tick.toPrecision(6)} s`));
    }
    told.rows.forEach((row, number) => {
      const y = number * ROW + 6;
      const label = row.label.length > 34 ? row.label.slice(0, 33) + "…" : row.label;
      const text = drawn("text", { x: 4 + Math.min(row.depth, 2) * 10, y: y + 12, class: row.part }, label);
      text.append(drawn("title", {}, row.label));
      whole.append(text);
      let end = 0;
      for (const [doing, start_s, end_s] of row.bars) {
        end = Math.max(end, end_s);
        whole.append(drawn("rect", { x: x(start_s), y: row.kind === "request" ? y + 5 : y, width: Math.max(0.7, x(end_s) - x(start_s)),
          height: row.kind === "request" ? 6 : 15, class: `${doing} ${row.part}` }));
      }
      for (const [kind, at_s] of row.marks) {
        end = Math.max(end, at_s);
        if (kind === "cut") whole.append(drawn("path", { d: `M${x(at_s) - 5} ${y + 2}l10 11m0 -11l-10 11`, class: "cut" }));
        else if (kind === "event") whole.append(drawn("rect", { x: x(at_s) - 1, y: y - 2, width: 2, height: 19, class: "event" }));
        else whole.append(drawn("circle", { cx: x(at_s), cy: y + 7.5, r: 4, class: "delivered" }));
      }
      const note = row.note.length > 40 ? row.note.slice(0, 39) + "…" : row.note;
      const said = drawn("text", { x: Math.max(x(end), LEFT) + 10, y: y + 12, class: `note ${row.part}` }, note);
      said.append(drawn("title", {}, row.note));
      whole.append(said);
    });
    return whole;
  }

  // --- all of it -------------------------------------------------------------------------------------------

  async function show() {
    showTable();
    await showRequest();
    document.documentElement.dataset.shown = location.hash;
  }

  function choices() {
    const all = columns();
    const options = {
      layer: new Set(data.verdicts.map((one) => one.layer)),
      timer: new Set(data.verdicts.map((one) => one.timer)),
      grade: new Set(data.verdicts.map((one) => one.grade)),
      outcome: new Set(data.outcomes),
      mode: new Set(data.modes),
    };
    for (const name of FILTERS) {
      const select = at(`f-${name}`);
      for (const value of [...options[name]].filter(Boolean).sort()) select.append(new Option(value, value));
      select.onchange = () => go({ [name]: select.value, page: 1 });
    }
    at("f-q").oninput = () => { history.replaceState(null, "", address({ q: at("f-q").value, page: 1 })); readAddress(); show(); };
    at("filters").onsubmit = (event) => event.preventDefault();
    at("filters").onreset = () => setTimeout(() => go({ layer: "", timer: "", outcome: "", mode: "", grade: "", q: "", page: 1 }));
    at("heads").replaceChildren(...COLUMNS.map((column) => {
      const head = cell("th", undefined, column.number ? "n" : "");
      head.scope = "col";
      const button = cell("button", column.says);
      button.type = "button";
      button.name = column.name;
      button.onclick = () => go({ sort: state.sort === column.name ? `-${column.name}` : state.sort === `-${column.name}` ? "" : column.name, page: 1 });
      head.append(button);
      return head;
    }));
    places = new Map(all.request.map((name, row) => [name, row]));
  }

  async function start() {
    const node = at("index");
    if (!node) return;
    data = await unpacked(node);
    choices();
    at("requests-live").hidden = false;
    readAddress();
    await show();
    if (state.request) at("one").scrollIntoView();
    for (const name of ["hashchange", "popstate"]) {
      addEventListener(name, async () => {
        if (!readAddress()) return;
        await show();
        if (state.request) at("one").querySelector("h3")?.focus();
      });
    }
  }

  start().catch((error) => { at("requests-said").textContent = `The table cannot be shown by this browser: ${error.message}`; throw error; });
})();

// Shows state.json once a second. Whatever a run has recorded is put in as text, never as markup.
(() => {
  "use strict";
  const EVERY_MS = 1000;
  const by = (id) => document.getElementById(id);

  function make(name, text, kind) {
    const made = document.createElement(name);
    if (kind) made.className = kind;
    if (text !== undefined) made.textContent = text;
    return made;
  }
  const fill = (id, children) => by(id).replaceChildren(...children);
  const show = (id, shown) => { by(id).hidden = !shown; };

  // --- numbers in words ---
  const dollars = (usd) => (usd === null ? "–" : `$${usd >= 0.1 || usd === 0 ? usd.toFixed(2) : Number(usd.toPrecision(2))}`);
  const percent = (share) => (share === null ? "–" : `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`);
  const shown = (value) => (value === null ? "–" : value);
  function duration(seconds) {
    if (seconds === null) return "–";
    if (seconds < 60) return `${Math.round(seconds)} s`;
    const minutes = Math.round(seconds / 60);
    return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }
  const many = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

  // --- the parts of the panel ---
  const SILENT_MS = 10 * EVERY_MS;
  const heard = { model_s: undefined, at_ms: 0 };
  function silent(run, live) {
    if (!live) return run.state === "under load" ? " · the first figures come in a moment" : "";
    if (heard.model_s !== live.model_s) Object.assign(heard, { model_s: live.model_s, at_ms: performance.now() });
    const silent_ms = performance.now() - heard.at_ms;
    if (live.ended || silent_ms < SILENT_MS) return "";
    return ` · the live judge has been silent for ${duration(silent_ms / 1000)}: see ${run.run_dir}/logs/live.log`;
  }

  function stateLine(run, live) {
    const line = [make("b", run.number > 1 ? `Run ${run.number}: ${run.state}` : run.state)];
    if (run.exit_code !== null) line.push(` with exit code ${run.exit_code}`);
    if (run.gone) line.push(`; its directory ${run.run_dir} is gone, and its figures with it`);
    else if (live) {
      line.push(` · ${live.begun} of ${live.asked} requests begun, ${live.requests} judged`);
      if (live.under_way) line.push(`, ${live.under_way} under way`);
      line.push(` · ${live.chain}, ${live.clock} · ${duration(live.model_s)} of model time`);
    }
    if (!run.gone) line.push(silent(run, live));
    if (run.report) line.push(" · ", reportLink(run, "the report"));
    return line;
  }

  function reportLink(run, words) {
    const link = make("a", words, "report");
    link.href = `./report/${run.number}`;
    link.target = "_blank";
    return link;
  }

  function verdictRow(kind, count, all, phrase, knob) {
    const row = make("li", undefined, kind);
    const number = make("span", undefined, "count");
    number.append(make("b", count), ` of ${all}`);
    row.append(number, make("span", phrase, "phrase"));
    if (knob) row.append(make("span", knob, "knob"));
    return row;
  }

  function verdictRows(live) {
    const all = live.attempts;
    const rows = live.verdicts.map((verdict) => {
      const limit = verdict.limit_s === null ? "" : `, ${verdict.limit_s} s`;
      const against = verdict.contradictions ? ` · contradicted in ${verdict.contradictions}` : "";
      const knob = verdict.directive ? `${verdict.title}: ${verdict.directive}${limit}` : verdict.title || verdict.layer;
      const which = verdict.attempts > 1 ? " · the words are the last one's" : "";
      return verdictRow("cut", verdict.attempts, all, verdict.phrase, knob + against + which);
    });
    for (const [code, count] of Object.entries(live.rejected_as)) {
      rows.push(verdictRow("rejected", count, all, "nobody cut: rejected by the API", code));
    }
    for (const outcome of ["delivered", "censored"]) {
      const count = live.attempt_outcomes[outcome];
      if (count) rows.push(verdictRow(outcome, count, all, outcome === "delivered" ? "nobody cut: delivered" : outcome));
    }
    if (live.unattributed) rows.push(verdictRow("unattributed", live.unattributed, all, "unattributed"));
    return rows;
  }

  function figures(live) {
    const books = live.ledger;
    const delivered = live.outcomes.delivered || 0;
    const running = live.generations_running ? `${live.generations_running} running` : "";
    const per = books.generations_per_request;
    return [
      ["Delivered", percent(live.delivered_share), `${delivered} of ${many(live.requests, "request")}`],
      ["429s", live.refused_429, `${percent(live.share_429)} of attempts`],
      ["Generations a request", per === null ? "–" : per.toFixed(2), [books.started === null ? "" : `${books.started} started`, running].filter(Boolean).join(", ")],
      ["Orphaned", shown(books.orphaned), books.orphaned === null ? "the endpoint does not say" : `${duration(books.orphaned_s)}, ${dollars(books.orphaned_usd)}`],
      ["Billed", dollars(books.billed_usd), `${dollars(live.retries.after_unknown_usd)} given up by blind retries`],
      ["Per delivered image", dollars(books.usd_per_delivered), ""],
      ["Censored", live.censored, "never seen to an end"],
    ].map(([name, value, note]) => {
      const box = make("div");
      const said = make("dd", value);
      if (note) said.append(make("small", note));
      box.append(make("dt", name), said);
      return box;
    });
  }

  function drawing(lines) {
    return lines.flatMap((line) => [...line.map(([text, style]) => make("span", text, style)), "\n"]);
  }

  function showLast(run, last) {
    show("last", Boolean(last));
    if (!last) return;
    by("h-last").textContent = `Judged last: ${last.request}`;
    fill("phrases", last.phrases.map((phrase) => make("li", phrase)));
    fill("drawing", drawing(last.drawing));
    by("why").textContent = `whocut why ${run.run_dir} ${last.request}`;
  }

  function earlierRun(run) {
    const row = make("li");
    row.append(`${run.number}. ${run.run_dir || "no directory"}: ${run.gone ? "gone" : run.state}`);
    if (run.report) row.append(" · ", reportLink(run, "report"));
    return row;
  }

  function showState({ runs, live }) {
    const run = runs.at(-1);
    fill("state", run ? stateLine(run, live) : ["No test has been started yet. Verdicts come in while one runs."]);
    show("sentence", Boolean(run && run.sentence));
    by("sentence").textContent = run ? run.sentence : "";
    show("verdicts", Boolean(live));
    show("figures", Boolean(live));
    if (live) {
      const rows = verdictRows(live);
      fill("rows", rows.length ? rows : [make("li", "No request has ended yet.")]);
      fill("figures", figures(live));
    }
    showLast(run, live && live.last);
    show("earlier", runs.length > 1);
    fill("runs", runs.length > 1 ? runs.map(earlierRun) : []);
  }

  async function look() {
    wearTheme();
    try {
      const answer = await fetch("./state.json");
      if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
      showState(await answer.json());
    } catch (error) {
      fill("state", [`Locust does not answer (${error.message}); what stands below may be old.`]);
    }
    setTimeout(look, EVERY_MS);
  }

  // --- Locust's theme, and a frame as high as what it holds ---
  const frame = window.frameElement;
  function paperIsDark() {
    if (!frame) return matchMedia("(prefers-color-scheme: dark)").matches;
    // What Locust's page wears, not what it has remembered: it looks that up only when it is loaded.
    const paper = parent.getComputedStyle(parent.document.body).backgroundColor;
    const [red, green, blue, alpha = 1] = (paper.match(/[\d.]+/g) || [255, 255, 255]).map(Number);
    return alpha > 0 && red + green + blue < 3 * 128;
  }
  function wearTheme() {
    document.documentElement.dataset.theme = paperIsDark() ? "dark" : "light";
  }
  if (frame) {
    new ResizeObserver(() => { frame.style.height = `${document.body.offsetHeight + 24}px`; }).observe(document.body);
  } else {
    document.body.className = "alone";
  }
  look();
})();

// The page of the service: it orders, looks on, and shows what was made. Everything that came from outside is text.
"use strict";

const $ = (id) => document.getElementById(id);
const cards = new Map(); // by the job's id: its element, its job, its stream
let order = 0; // a number for each order of this page, so that a second click is not a second image

async function call(method, path, body, headers = {}) {
  const options = { method, headers: { ...headers } };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const answer = await fetch(path, options);
  const told = answer.status === 204 ? null : await answer.json();
  if (answer.status === 401 && path !== "/enter") askForToken();
  if (!answer.ok) throw new Error(told.error.message);
  return told;
}

// Without the cookie nothing of the page works: its one form asks for the token.
function askForToken() {
  $("entry").hidden = false;
  $("ordering").hidden = $("made").hidden = true;
  $("token").focus();
}

async function enter(event) {
  event.preventDefault();
  try {
    await call("POST", "/enter", { token: $("token").value });
    location.reload();
  } catch (error) {
    $("entry-said").textContent = error.message;
  }
}

// A network that is away for a moment must not lose an order: the key makes it the same order at each try.
async function callUntilHeard(method, path, body, headers) {
  for (let wait = 500; ; wait = Math.min(wait * 2, 10000)) {
    try {
      return await call(method, path, body, headers);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      say("The service cannot be reached; trying again.");
      await new Promise((next) => setTimeout(next, wait));
    }
  }
}

function say(sentence) {
  $("said").textContent = sentence;
}

const dollars = (usd) => `$${usd.toFixed(usd < 0.1 ? 4 : 2)}`;

async function showCredits() {
  const sums = await call("GET", "/credits");
  const rows = [["Spent", dollars(sums.spent_usd)]];
  if (sums.held_usd > 0) rows.push(["Under way, at most", dollars(sums.held_usd)]);
  if (sums.unknown_usd > 0) rows.push(["Unknown outcomes", dollars(sums.unknown_usd)]);
  if (sums.left_usd !== null) rows.push(["Left", dollars(Math.max(0, sums.left_usd))]);
  $("credits").replaceChildren(
    ...rows.map(([name, value]) => {
      const [row, term, amount] = ["div", "dt", "dd"].map((kind) => document.createElement(kind));
      term.textContent = name;
      amount.textContent = value;
      row.append(term, amount);
      return row;
    }),
  );
}

// What a failure means for the person who ordered, in kind words; the API's own sentence is below it.
function kindly(job) {
  if (job.status === "unknown") return "The image may have been made and paid, and was lost on its way. It is not ordered again by itself.";
  if (job.status !== "failed") return "";
  const cost = job.cost_usd > 0 ? `It may have cost ${dollars(job.cost_usd)}.` : "It cost nothing.";
  if (job.error?.code === "moderation_blocked") {
    return `A safety filter refused this one; that happens with harmless wishes too. Another wording often helps. ${cost}`;
  }
  return `It did not work out. ${cost}`;
}

function card(job) {
  const known = cards.get(job.id);
  if (known) return known;
  const element = $("card").content.firstElementChild.cloneNode(true);
  const made = { element, job, stream: null };
  cards.set(job.id, made);
  element.querySelector(".remove").addEventListener("click", () => remove(job.id));
  element.querySelector(".again").addEventListener("click", () => {
    $("prompt").value = cards.get(job.id).job.prompt;
    $("prompt").focus();
  });
  return made;
}

function show(job) {
  const made = card(job);
  made.job = job;
  const element = made.element;
  element.classList.toggle("over", job.over);
  element.querySelector(".prompt").textContent = job.prompt;
  element.querySelector(".state").textContent =
    job.status === "delivered" ? `${job.says} It cost ${dollars(job.cost_usd)}.` : job.says;
  const kind = element.querySelector(".kindly");
  kind.textContent = kindly(job);
  kind.hidden = kind.textContent === "";
  const error = element.querySelector(".error");
  error.hidden = job.error === null || !job.over || job.status === "cancelled";
  error.textContent = job.error === null ? "" : job.error.message;
  if (job.images.length > 0) picture(element, job.images[0], `Image for: ${job.prompt}`);
  if (job.over && job.images.length === 0) element.querySelector(".picture").hidden = true;
  showElapsed(made);
  const save = element.querySelector(".save");
  save.hidden = job.images.length === 0;
  if (job.images.length > 0) save.href = job.images[0];
  element.querySelector(".again").hidden = !job.over || job.status === "delivered";
  const button = element.querySelector(".remove");
  button.textContent = job.over ? "Remove" : "Cancel";
  button.hidden = job.status === "sent";
  button.setAttribute("aria-label", `${button.textContent}: ${job.prompt.slice(0, 60)}`);
  $("empty").hidden = cards.size > 0;
}

function showElapsed(made) {
  const since = Math.max(0, Math.round(Date.now() / 1000 - made.job.created_s));
  made.element.querySelector(".elapsed").textContent =
    `${Math.floor(since / 60)}:${String(since % 60).padStart(2, "0")}`;
}

function picture(element, address, words) {
  const link = element.querySelector(".picture");
  const image = link.querySelector("img");
  image.src = address;
  image.alt = words;
  link.href = address;
  link.setAttribute("aria-label", words);
  link.hidden = false;
  element.querySelector(".waiting").hidden = true;
}

// EventSource comes back by itself after a cut, with the number of the last event that it has.
function watch(job) {
  const made = card(job);
  if (job.over || made.stream) return;
  const stream = new EventSource(job.events);
  made.stream = stream;
  stream.addEventListener("state", (event) => show(JSON.parse(event.data)));
  stream.addEventListener("partial", (event) => {
    const number = JSON.parse(event.data).number;
    if (!made.job.over) picture(made.element, `/jobs/${job.id}/partials/${number}`, `Unfinished image for: ${job.prompt}`);
  });
  stream.addEventListener("end", (event) => {
    stream.close();
    made.stream = null;
    const ended = JSON.parse(event.data);
    show(ended);
    say(ended.says);
    showCredits();
  });
  stream.addEventListener("open", () => {
    if (made.lost) say("The connection is there again.");
    made.lost = false;
  });
  stream.addEventListener("error", () => {
    if (!made.job.over && !made.lost) say("The connection was lost. The image is made all the same; the page asks again by itself.");
    made.lost = true;
    if (stream.readyState === EventSource.CLOSED) {
      made.stream = null;
      setTimeout(() => refresh(job.id), 2000);
    }
  });
}

async function refresh(id) {
  try {
    const job = await call("GET", `/jobs/${id}`);
    show(job);
    watch(job);
  } catch (error) {
    if (error instanceof TypeError) setTimeout(() => refresh(id), 2000);
  }
}

async function remove(id) {
  const made = cards.get(id);
  try {
    const told = await call("DELETE", `/jobs/${id}`);
    if (told !== null) {
      show(told);
      say(told.says);
      return;
    }
  } catch (error) {
    say(error.message);
    return refresh(id);
  }
  made.element.remove();
  cards.delete(id);
  $("empty").hidden = cards.size > 0;
  $("gallery").focus();
  showCredits();
}

const wanted = () => ({ prompt: $("prompt").value, quality: $("quality").value, size: $("size").value });

async function check(event) {
  event.preventDefault();
  $("advice").hidden = true;
  try {
    const told = await call("POST", "/check", wanted());
    if (told.findings.length === 0) return send();
    const items = told.findings.map((found) => {
      const item = document.createElement("li");
      const instead = found.instead.charAt(0).toUpperCase() + found.instead.slice(1);
      item.textContent = `“${found.found}”: ${found.because}. ${instead}.`;
      return item;
    });
    $("findings").replaceChildren(...items);
    $("advice").hidden = false;
    $("reword").focus();
  } catch (error) {
    say(error instanceof TypeError ? "The service cannot be reached; nothing was ordered." : error.message);
  }
}

async function send() {
  $("advice").hidden = true;
  $("send").disabled = true;
  order += 1;
  const key = `page-${Date.now()}-${order}-${crypto.getRandomValues(new Uint32Array(2)).join("")}`;
  try {
    const job = await callUntilHeard("POST", "/jobs", wanted(), { "Idempotency-Key": key });
    show(job);
    $("gallery").prepend(card(job).element);
    watch(job);
    say("Ordered. It takes one to a few minutes; this page can be closed meanwhile.");
    $("prompt").value = "";
    showCredits();
  } catch (error) {
    say(error.message);
  } finally {
    $("send").disabled = false;
    $("prompt").focus();
  }
}

async function begin() {
  $("order").addEventListener("submit", check);
  $("enter").addEventListener("submit", enter);
  $("anyway").addEventListener("click", send);
  $("reword").addEventListener("click", () => {
    $("advice").hidden = true;
    $("prompt").focus();
  });
  setInterval(() => {
    for (const made of cards.values()) if (!made.job.over) showElapsed(made);
  }, 1000);
  $("prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("order").requestSubmit();
  });
  const told = await call("GET", "/jobs");
  for (const job of told.jobs) {
    if (job.prompt === "") continue; // forgotten
    show(job);
    $("gallery").append(card(job).element);
    watch(job);
  }
  await showCredits();
}

begin().catch((error) => say(error.message));

/**
 * The page of `inspectRoutes`. A module, so that the package serves it without a
 * permission to read files. Names come from clients and may contain anything: they
 * arrive as JSON, and the script only ever sets them as text.
 */

/** Stands for the nonce of a response. */
const nonceMark = "NONCE";

/** Returns the page, whose style and script carry `nonce`. */
export function pageWith(nonce: string): string {
  return page.replaceAll(nonceMark, nonce);
}

const style = `
:root {
  color-scheme: light dark;
  --ground: #fbfbfa; --card: #ffffff; --line: #e3e2df; --text: #1d1d1b;
  --soft: #6a6963; --accent: #1f5fbf; --warn: #a33a12; --warn-ground: #fdeee7;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #16161a; --card: #1f1f1c; --line: #34342f; --text: #ecebe6;
    --soft: #a09f97; --accent: #8ab4f8; --warn: #ffb195; --warn-ground: #3a2117;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 1180px; padding: 20px 16px 48px;
  background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif;
}
header { display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: baseline; }
h1 { font-size: 20px; margin: 0; }
h2 { font-size: 15px; margin: 0 0 8px; }
#state { color: var(--soft); }
#state.ended { color: var(--warn); }
#kinds { display: flex; flex-wrap: wrap; gap: 8px; margin: 16px 0; padding: 0; }
#kinds li {
  list-style: none; padding: 4px 12px; border: 1px solid var(--line);
  border-radius: 8px; background: var(--card);
}
#kinds b { font-variant-numeric: tabular-nums; }
form { display: flex; flex-wrap: wrap; gap: 8px 16px; margin-bottom: 12px; }
label { color: var(--soft); }
input {
  font: inherit; color: inherit; background: var(--card); padding: 3px 8px;
  border: 1px solid var(--line); border-radius: 6px;
}
#text { width: 240px; max-width: 100%; }
#age { width: 80px; }
section {
  border: 1px solid var(--line); border-radius: 10px; background: var(--card);
  padding: 14px 16px; margin-bottom: 16px; overflow-x: auto;
}
#tree ul { margin: 0; padding-left: 18px; border-left: 1px solid var(--line); }
#tree > ul { padding-left: 0; border-left: 0; }
#tree li { list-style: none; }
.row {
  display: flex; flex-wrap: wrap; gap: 0 12px; padding: 1px 4px;
  align-items: baseline; border-radius: 4px;
}
.name { font-weight: 600; overflow-wrap: anywhere; }
.context > .row > .name, .sleep > .row > .name { font-weight: 400; }
.time { font-variant-numeric: tabular-nums; white-space: nowrap; }
.note { color: var(--soft); font-size: 13px; overflow-wrap: anywhere; }
.why { color: var(--warn); font-size: 13px; overflow-wrap: anywhere; }
.draining > .row { background: var(--warn-ground); }
.gone > .row { opacity: 0; transition: opacity 4s ease-in; }
.gone > .row > .name { text-decoration: line-through; }
.hidden { display: none; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; font-weight: 500; color: var(--soft); }
th, td { padding: 3px 12px 3px 0; vertical-align: top; }
td { border-top: 1px solid var(--line); overflow-wrap: anywhere; }
td.number, th.number {
  text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums;
}
.none { color: var(--soft); margin: 0; }
@media (max-width: 600px) {
  .wide { display: none; }
  #tree ul { padding-left: 10px; }
}
`;

const script = `
"use strict";
const byId = (id) => document.getElementById(id);
const fadeTime = 4000;
const maxFading = 100;
let state;

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function duration(ms) {
  if (ms === undefined) return "?";
  if (ms < 1000) return Math.round(ms) + " ms";
  const s = ms / 1000;
  if (s < 60) return s.toFixed(1) + " s";
  if (s < 3600) return Math.floor(s / 60) + " min " + Math.floor(s % 60) + " s";
  const h = Math.floor(s / 3600);
  if (h < 48) return h + " h " + Math.floor(s % 3600 / 60) + " min";
  return Math.floor(h / 24) + " days";
}

const count = (n) => n.toLocaleString("en-US");
const plural = { context: "contexts", sleep: "sleeps", request: "requests",
  server: "servers", connection: "connections", peer: "peers", group: "groups",
  task: "tasks" };
const because = (ended) => ended.err === "TimeoutError"
  ? ["deadline exceeded", ...ended.causes] : ended.causes;

function fill(li, entry) {
  li.className = entry.kind + (entry.ended ? " draining" : "");
  li.age = entry.age;
  const row = make("div", "row");
  row.append(make("span", "name", entry.name ?? entry.label));
  if (entry.age !== undefined) {
    row.append(make("span", "time note", "for " + duration(entry.age)));
  }
  if (entry.left !== undefined && entry.kind !== "sleep") {
    row.append(make("span", "time note", duration(entry.left) + " left"));
  }
  if (entry.ended) {
    const what = entry.kind === "server" ? "draining" : "ended";
    row.append(make("span", "why", [what, ...entry.ended].join(": ")));
  }
  if (entry.waits > 0) {
    row.append(make("span", "note", count(entry.waits) + " waiting"));
  }
  if (entry.values.length > 0) {
    row.append(make("span", "note wide", "values: " + entry.values.join(", ")));
  }
  if (entry.site) row.append(make("span", "note wide", entry.site));
  const old = li.firstElementChild;
  if (old?.className === "row") old.replaceWith(row);
  else li.prepend(row);
}

function fade(li, ended) {
  const isSleep = li.classList.contains("sleep");
  li.classList.add("gone");
  if (isSleep || document.querySelectorAll(".gone").length > maxFading) {
    li.remove();
    return;
  }
  const why = ended ? because(ended).join(": ") : "";
  li.firstElementChild.append(
    make("span", "why", why === "" ? "ended" : "ended: " + why),
  );
  void li.offsetHeight;
  setTimeout(() => li.remove(), fadeTime);
}

function reconcile(list, entries, more, ended) {
  const known = new Map();
  for (const li of [...list.children]) {
    if (li.entryId === undefined) li.remove();
    else if (!li.classList.contains("gone")) known.set(li.entryId, li);
  }
  let previous;
  for (const entry of entries) {
    let li = known.get(entry.id);
    known.delete(entry.id);
    if (li === undefined) {
      li = make("li");
      li.entryId = entry.id;
    }
    fill(li, entry);
    if (previous === undefined && li.parentNode !== list) list.prepend(li);
    else if (previous !== undefined && li.parentNode !== list) previous.after(li);
    previous = li;
    let below = li.querySelector(":scope > ul");
    if (below === null && (entry.children.length > 0 || entry.more)) {
      li.append(below = make("ul"));
    }
    if (below !== null) reconcile(below, entry.children, entry.more, ended);
  }
  for (const li of known.values()) fade(li, ended.get(li.entryId));
  for (const { what, count: n, oldest } of more ?? []) {
    const li = make("li", "more");
    li.age = oldest;
    const row = make("div", "row");
    row.append(make("span", "name", "and " + count(n) + " more"));
    row.append(make("span", "note", what));
    row.append(make("span", "time note", "oldest " + duration(oldest)));
    li.append(row);
    list.append(li);
  }
}

/** Hides what the filter excludes; returns whether something is left. */
function filter(list, text, age) {
  let some = false;
  for (const li of list.children) {
    const below = li.querySelector(":scope > ul");
    const inside = below !== null && filter(below, text, age);
    const own = li.firstElementChild.textContent.toLowerCase().includes(text) &&
      !((li.age ?? Infinity) < age);
    li.classList.toggle("hidden", !(own || inside));
    some ||= own || inside;
  }
  return some;
}

function applyFilter() {
  const text = byId("text").value.trim().toLowerCase();
  const age = Number(byId("age").value) * 1000 || 0;
  const some = filter(byId("top"), text, age);
  byId("nothing").classList.toggle("hidden", some);
}

function rows(body, none, list, cells) {
  body.replaceChildren(...list.map((item) => {
    const row = make("tr");
    for (const [text, className] of cells(item)) {
      row.append(make("td", className, text));
    }
    return row;
  }));
  none.classList.toggle("hidden", list.length > 0);
  body.parentNode.classList.toggle("hidden", list.length === 0);
}

function hasMore(entry) {
  return entry.more !== undefined || entry.children.some(hasMore);
}

function show(news) {
  state = news;
  const { tree, recent, suspects } = state;
  byId("kinds").replaceChildren(...Object.entries(tree.kinds).map(([kind, n]) => {
    const item = make("li");
    item.append(make("b", "", count(n)), " " + (n === 1 ? kind : plural[kind]));
    return item;
  }));
  byId("cut").classList.toggle("hidden", !hasMore(tree));
  reconcile(byId("top"), tree.children, tree.more,
    new Map(recent.map((ended) => [ended.id, ended])));
  applyFilter();
  rows(byId("recent"), byId("no-recent"), recent, (ended) => [
    [new Date(ended.endedAt).toLocaleTimeString(), "time"],
    [ended.name ?? ended.label],
    [duration(ended.age), "number"],
    [because(ended).join(": ") || "no cause"],
    [ended.endedBy ?? "", "wide"],
  ]);
  const suspicious = [
    ...suspects.open.map((one) => ({ ...one, state: "open" })),
    ...suspects.dropped.map((one) => ({ ...one, state: "dropped" })),
  ];
  rows(byId("suspects"), byId("no-suspects"), suspicious, (suspect) => [
    [count(suspect.count), "number"],
    [suspect.what],
    [suspect.state],
    [suspect.oldest === undefined ? "" : duration(suspect.oldest), "number"],
    [suspect.site ?? "", "wide"],
  ]);
}

function say(text, ended) {
  byId("state").textContent = text;
  byId("state").classList.toggle("ended", ended);
}

const source = new EventSource("events");
source.addEventListener("state", ({ data }) => {
  const news = JSON.parse(data);
  say(count(news.tree.open) + " open", false);
  show(news);
});
source.addEventListener("drain", () => {
  source.close();
  say("this server drains: the last state", true);
});
source.onerror = () => say("no connection: the last state", true);
byId("filter").addEventListener("input", applyFilter);
byId("filter").addEventListener("submit", (event) => event.preventDefault());
`;

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Contexts</title>
<link rel="icon" href="data:,">
<style nonce="${nonceMark}">${style}</style>
</head>
<body>
<header><h1>Contexts</h1><span id="state" role="status">connecting</span></header>
<ul id="kinds" aria-label="Open, by kind"></ul>
<form id="filter">
<label>Name or line <input id="text" type="search"></label>
<label>Older than <input id="age" type="number" min="0" step="any"> s</label>
</form>
<section id="tree" aria-label="Open contexts">
<p id="cut" class="note hidden">There are too many to list. Of each place, the oldest
are shown, and how many more there are of the largest groups.</p>
<ul id="top"></ul>
<p id="nothing" class="none hidden">No open context matches.</p>
</section>
<section>
<h2>Suspects: open for long, or dropped without an end</h2>
<table>
<thead><tr><th class="number">count</th><th>context</th><th>state</th>
<th class="number">oldest</th><th class="wide">created at</th></tr></thead>
<tbody id="suspects"></tbody>
</table>
<p id="no-suspects" class="none">None.</p>
</section>
<section>
<h2>Ended lately</h2>
<table>
<thead><tr><th>at</th><th>context</th><th class="number">after</th><th>cause</th>
<th class="wide">ended at</th></tr></thead>
<tbody id="recent"></tbody>
</table>
<p id="no-recent" class="none">None.</p>
</section>
<script nonce="${nonceMark}">${script}</script>
</body>
</html>
`;

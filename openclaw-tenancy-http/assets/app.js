// The script of every page: theme, account menu, creating, watching and changing the instance.
// The pages are a client of the REST API like any other; what changes is fetched as a part written by the server.
"use strict";

// Theme first, before anything is painted.
const themes = {
  get() { try { return localStorage.getItem("theme") || "auto"; } catch { return "auto"; } },
  set(theme) { try { localStorage.setItem("theme", theme); } catch { /* then for this page only */ } themes.apply(theme); },
  apply(theme) {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  },
};
themes.apply(themes.get());

const $ = (selector, root = document) => root.querySelector(selector);
const lang = document.documentElement.lang;
let clockAhead = 0; // How far the server's clock is ahead of ours, in milliseconds.

async function call(method, path, body) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = document.body.dataset.csrf || "";
  if (body) headers["Content-Type"] = "application/json";
  if (path === "/api/tenants") headers["Idempotency-Key"] = body.key;
  const { key, ...sent } = body || {};
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(sent) });
  const date = Date.parse(response.headers.get("Date"));
  if (date) clockAhead = date - Date.now();
  if (response.status === 401) location.assign("/login");
  return { response, text: await response.text() };
}

function showProblem(text) {
  const box = $("#problem");
  let problem = {};
  try { problem = JSON.parse(text); } catch { /* not from us: a proxy's own page */ }
  $("strong", box).textContent = problem.title || "";
  const words = [problem.detail, problem.fix].filter(Boolean).join(" ").replaceAll("`", "");
  $("span", box).textContent = words;
  box.hidden = false;
  for (const place of document.querySelectorAll("[data-error-for]")) place.hidden = true;
  const place = problem.field && $(`[data-error-for="${CSS.escape(problem.field)}"]`);
  if (place) {
    place.textContent = words;
    place.hidden = false;
    box.hidden = true;
    place.scrollIntoView({ block: "nearest" });
  }
}

async function showStage() {
  const response = await fetch("/instance", { headers: { Accept: "application/json" } });
  if (response.redirected) return location.assign("/login");
  if (!response.ok) return;
  $("#stage").innerHTML = await response.text(); // Ours, written and escaped by the server.
  tick();
}

// Watching: one small poll a second while something goes on, and every five seconds while nothing does.
async function watch() {
  const shown = $("#stage [data-state]");
  if (shown && !document.hidden) {
    try {
      const { response, text } = await call("GET", "/api/tenants/me");
      const gone = response.status === 404;
      if (gone || (response.ok && text !== shown.dataset.state)) await showStage();
    } catch { /* the server is away for a moment: go on */ }
  }
  const busy = $("#stage .busy, #stage .bad");
  setTimeout(watch, busy ? 1000 : 5000);
}

// Times as the reader writes them.
function tick() {
  const now = Date.now() + clockAhead;
  for (const time of document.querySelectorAll("time[data-since]")) {
    const seconds = Math.max(0, Math.floor((now - Date.parse(time.dataset.since)) / 1000));
    time.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }
  for (const time of document.querySelectorAll("time[data-until]")) {
    const seconds = Math.max(0, Math.ceil((Date.parse(time.dataset.until) - now) / 1000));
    const format = new Intl.RelativeTimeFormat(lang);
    time.textContent = seconds < 120 ? format.format(seconds, "second") : format.format(Math.round(seconds / 60), "minute");
  }
  for (const time of document.querySelectorAll("time[data-date]")) {
    const format = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short" });
    time.textContent = format.format(new Date(time.dataset.date));
  }
}

let attempt; // The same until it succeeded, so that a click repeated after a lost answer makes one instance.
async function create(form) {
  const button = $("button", form);
  button.disabled = true;
  attempt = attempt || crypto.randomUUID();
  const body = { key: attempt, timezone: Intl.DateTimeFormat().resolvedOptions().timeZone };
  const plan = $("input[name=plan]:checked", form);
  const name = $("input[name=name]", form).value.trim();
  if (plan) body.plan = plan.value;
  if (name) body.name = name;
  try {
    const { response, text } = await call("POST", "/api/tenants", body);
    if (response.ok) {
      $("#problem").hidden = true;
      await showStage();
    } else showProblem(text);
    if (response.status < 500) attempt = undefined;
  } catch { showProblem("{}"); } finally { button.disabled = false; }
}

async function act(button) {
  const action = button.dataset.action;
  if (action === "delete" && !(await confirmed())) return;
  button.disabled = true;
  const [method, path] = action === "delete" ? ["DELETE", "/api/tenants/me"] : ["POST", `/api/tenants/me/${action}`];
  try {
    const { response, text } = await call(method, path);
    $("#problem").hidden = response.ok;
    if (!response.ok) showProblem(text);
    await showStage();
  } catch { button.disabled = false; }
}

function confirmed() {
  const dialog = $("#delete-dialog");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "delete"), { once: true });
  });
}

document.addEventListener("submit", (event) => {
  if (event.target.id !== "create") return;
  event.preventDefault();
  create(event.target);
});

document.addEventListener("click", async (event) => {
  const action = event.target.closest("[data-action]");
  if (action) return act(action);
  const out = event.target.closest("[data-sign-out]");
  if (out) {
    await call("POST", "/api/auth/logout", { everywhere: out.dataset.signOut === "everywhere" });
    return location.assign("/login");
  }
  const menu = $(".menu[open]");
  if (menu && !menu.contains(event.target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && $(".menu[open]");
  if (menu) { menu.open = false; $("summary", menu).focus(); }
});

document.addEventListener("DOMContentLoaded", () => {
  const choice = $("[data-theme-choice]");
  if (choice) {
    const chosen = $(`input[value="${themes.get()}"]`, choice);
    if (chosen) chosen.checked = true;
    choice.addEventListener("change", (event) => themes.set(event.target.value));
  }
  if (!$("#stage")) return;
  tick();
  setInterval(tick, 1000);
  setTimeout(watch, 1000);
});

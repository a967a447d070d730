// What the pages share: asking for the newest state, saying that it is old, and changing only what changed.
// A page defines POLL_EVERY, GIVE_UP_AFTER, STATE, take(answer), render() and moment(time), and calls poll().
const LOCALE = "en-GB";
const page = document.documentElement;
const at = id => document.getElementById(id);
let latest = null;   // the last good answer

async function poll() {
  const started = performance.now();
  try {
    const answer = await fetchState();
    take(answer);
    latest = answer;
    page.dataset.state = "live";
    at("banner").hidden = at("loading").hidden = true;
    at("main").hidden = false;
    render();
  } catch (error) {
    page.dataset.state = latest ? "old" : "loading";
    renderOutage(error);
  }
  page.dataset.polls = Number(page.dataset.polls) + 1;
  setTimeout(poll, Math.max(0, POLL_EVERY - (performance.now() - started)));
}

async function fetchState() {
  let response;
  try {
    response = await fetch(STATE, { cache: "no-store", signal: AbortSignal.timeout(GIVE_UP_AFTER) });
    if (response.ok) return await response.json();
  } catch (error) {
    if (error.name === "TimeoutError") throw Error(`no answer within ${GIVE_UP_AFTER / 1000} seconds`);
    throw Error(error instanceof SyntaxError ? "the answer is not JSON" : "certforge does not answer: it has ended, or is not reachable");
  }
  const body = await response.json().catch(() => null);
  throw Error(body?.error?.message ?? `it answers HTTP ${response.status}`);
}

function renderOutage(error) {
  at("banner").hidden = false;
  text(at("banner-since"), latest ? `OLD DATA, from ${moment(latest.at)}` : "NO DATA YET");
  text(at("banner-why"), `${latest ? "Since then" : "Because"}: ${error.message}. Trying again.`);
  if (!latest) return;
  document.title = `old data, ${document.title.replace(/^old data, /, "")}`;
  text(at("as-of"), `old, as of ${moment(latest.at)}`);
}

// Makes the children of `parent` match `entries`, reusing those that stay: focus, selection and scrolling live in them.
function sync(parent, template, entries, key, fill) {
  const focused = document.activeElement;
  const old = new Map([...parent.children].map(child => [child.key, child]));
  const wanted = new Set(entries.map(entry => {
    const child = old.get(key(entry)) ?? (template ? at(template).content.firstElementChild.cloneNode(true) : document.createElement("code"));
    child.key = key(entry);
    fill(child, entry);
    return child;
  }));
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  [...wanted].forEach((child, place) => {
    if (parent.children[place] !== child) parent.insertBefore(child, parent.children[place] ?? null);
  });
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
}

// Writes only what changed, so that nothing is announced, selected anew or laid out for nothing.
function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

function number(value) {
  return value.toLocaleString(LOCALE);
}

function plural(value, noun) {
  return `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
}

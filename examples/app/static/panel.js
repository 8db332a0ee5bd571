"use strict";
const { backend } = document.body.dataset;
const connect = document.querySelector("#connect");
const shown = document.querySelector("#status");
/** Screen readers announce a change, even to the same words. */
const say = (words) => shown.textContent === words || (shown.textContent = words);
let timer;

/** `{token, expiresAt, user}` of the panel path. It is kept in memory only. */
let session;

/** Trades an ID token for a bearer. False when nobody has connected this site yet. */
async function signIn() {
  const [idToken, { siteId, workspaceId }] = await Promise.all([
    webflow.getIdToken(),
    webflow.getSiteInfo(),
  ]);
  const response = await fetch(`${backend}/auth/webflow/panel`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ idToken, siteId, workspaceId }),
  });
  const answer = await response.json();
  session = response.ok ? answer : undefined;
  if (response.ok) return true;
  // 409: no grant covers the site. 403: all of them lack the scope.
  if (!answer.login_url) throw new Error(answer.title);
  const url = new URL(answer.login_url);
  url.searchParams.set("return_to", "/connected");
  connect.onclick = () => openLogin(url.href);
  connect.hidden = false;
  say("Connect Webflow to use this panel.");
  return false;
}

/** Consent cannot be given in a frame. The window closes itself at the end. */
function openLogin(url) {
  open(url, "connect", "popup,width=600,height=800");
  // Nothing is pushed to the panel, and whether the window has closed does not say much: a page on the
  // way may separate it from the panel. So the panel asks until somebody has connected the site.
  clearTimeout(timer);
  let tries = 300;
  const again = async () => {
    if (!(await start()) && tries-- > 0) timer = setTimeout(again, 3000);
  };
  timer = setTimeout(again, 3000);
}

/** Calls the backend, with a new bearer when the last one is about to expire or has ended. */
async function call(path) {
  const expires = session ? Date.parse(session.expiresAt) : 0;
  if (expires < Date.now() + 60_000 && !(await signIn())) return;
  const send = () =>
    fetch(backend + path, { headers: { authorization: `Bearer ${session.token}` } });
  let response = await send();
  if (response.status === 401) {
    if (!(await signIn())) return;
    response = await send();
  }
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.title);
  return answer;
}

/** Whether the panel shows the site. */
async function start() {
  try {
    const site = await call("/api/site");
    if (!site) return false;
    connect.hidden = true;
    say(`${site.email} at ${site.name}`);
    return true;
  } catch (error) {
    say(error.message);
    return false;
  }
}

start();
